"""What is answered about the table of a result's objects: measures, histograms, pages of rows, regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from slideseg.viewer.server.slide import numbered
from slideseg.viewer.table.looks import VIRIDIS
from slideseg.viewer.table.numbers import histogram

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from slideseg.viewer.slides import Slides
    from slideseg.viewer.table.objects import ObjectTable


class TableAnswers:
    """What is answered about the table of the result that the address's ``number`` names."""

    def __init__(self, slides: Slides) -> None:
        self._slides = slides
        answers: dict[str, Callable[[ObjectTable, Request], Any]] = {
            "/measures": lambda table, _: {"measures": table.columns.measures, "colors": VIRIDIS},
            "/histogram/{measure}": lambda table, asked: histogram(table.columns.values(asked.path_params["measure"])),
            "/rows": lambda table, asked: table.pages.page(asked.query_params),
            "/rows/{id:int}": lambda table, asked: {"place": table.pages.place(asked.path_params["id"], asked.query_params)},
            "/region": lambda table, asked: table.regions.count(asked.query_params),
        }
        self.routes = [Route(path, self._answer(answer)) for path, answer in answers.items()]
        """Where each answer is."""

    def _answer(self, answer: Callable[[ObjectTable, Request], Any]) -> Callable[[Request], Response]:
        def answered(request: Request) -> Response:
            with self._slides.open(numbered(request, self._slides)) as shown:
                if shown.table is None:
                    return PlainTextResponse("error: the result has no objects\n", 404)
                return JSONResponse(answer(shown.table, request))

        return answered
