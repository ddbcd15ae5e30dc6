"""The application: one result under its token, or a sheet of many and each of them under its number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from slideseg.cohort.facts import FAILURES, in_a_line
from slideseg.errors import ConfigError
from slideseg.viewer.server.data import data_of
from slideseg.viewer.server.edits import EditAnswers
from slideseg.viewer.server.guard import Guard
from slideseg.viewer.server.sheet import SheetAnswers
from slideseg.viewer.server.slide import PAGE, SlideAnswers
from slideseg.viewer.server.table import TableAnswers

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

    from slideseg.viewer.slides import Slides


def make_app(slides: Slides, token: str, host: str) -> ASGIApp:
    """Return the application that serves results under ``/TOKEN/`` of this machine, which is also called ``host``."""
    page = Mount("/page", StaticFiles(directory=PAGE))
    answers = (SlideAnswers(slides), TableAnswers(slides), EditAnswers(slides))
    there = [url for url in slides.urls if url not in slides.failed]  # they come first
    of_one: list[BaseRoute] = [
        *(route for one in answers for route in one.routes),
        page,
        data_of(there),
    ]
    routes = of_one
    if slides.has_sheet:
        sheet = SheetAnswers(slides)
        routes = [*sheet.routes, page, Mount("/r/{number:int}", routes=[*of_one, *sheet.routes_of_one])]
    failures = dict.fromkeys(FAILURES, _failed)
    app = Starlette(routes=[Mount(f"/{token}", routes=routes)], exception_handlers=failures)
    return Guard(app, token, host)


def _failed(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"error: {in_a_line(error)}\n", 400 if isinstance(error, ConfigError) else 500)
