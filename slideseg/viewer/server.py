"""The page's small server: tiles, facts and rows of one result, to those who know the token."""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from slideseg.errors import SlidesegError, explain
from slideseg.storage.place import locate
from slideseg.viewer.fragment import objects_there

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from slideseg.viewer.shown import Shown

PAGE = Path(__file__).parent / "page"
"""What the browser gets: HTML, style, script and the viewer client, all from here."""
TILE_AGE = 3600
"""Seconds that a browser keeps a tile; at the next start the token is another one."""
POLICY = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:"
"""What the page may load: nothing from elsewhere."""
RANGES = ("Accept-Ranges", "Content-Range", "Content-Length", "ETag")
"""Headers that scripts of other pages may see of the result's files."""


class Guard:
    """Lets requests pass whose path begins with the token and which were sent to this machine by name; all others get 403.

    A page from elsewhere that has its own name point here (DNS rebinding) sends that name as the host.
    """

    def __init__(self, app: ASGIApp, token: str, host: str) -> None:
        self._app, self._token, self._host = app, token, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if not self._has_token(scope):
            refusal = "this address needs its token (try the one that slideseg view printed)"
        elif not is_host_of_ours([value for name, value in scope["headers"] if name == b"host"], self._host):
            refusal = "this is no name of this machine (try its number, localhost, or --host NAME)"
        else:
            await self._app(scope, receive, send)
            return
        await PlainTextResponse(f"error: {refusal}\n", 403)(scope, receive, send)

    def _has_token(self, scope: Scope) -> bool:
        given = scope.get("path", "").removeprefix("/").partition("/")[0]
        return secrets.compare_digest(given.encode(), self._token.encode())


def is_host_of_ours(sent: list[bytes], host: str) -> bool:
    """Tell whether a request was sent to ``host``, to a number, or to this machine's own name: to none that others can give it.

    >>> [is_host_of_ours([sent], "node7") for sent in (b"127.0.0.1:80", b"[::1]:80", b"NODE7:80", b"evil.example:80")]
    [True, True, True, False]
    """
    if len(sent) != 1:
        return False
    name = re.sub(r":\d*$", "", sent[0].decode("latin-1")).strip("[]").lower()
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in ("localhost", socket.gethostname().lower(), host.lower())
    return True


class Answers:
    """What is answered about one result. Each answer is made in a thread of its own."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown

    def page(self, _: Request) -> Response:
        """Return the page itself."""
        headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
        return FileResponse(PAGE / "index.html", headers=headers)

    def facts(self, _: Request) -> Response:
        """Return what the page needs to build itself."""
        return JSONResponse(self._shown.facts())

    def sums(self, _: Request) -> Response:
        """Return counts and areas of the classes' objects."""
        return JSONResponse(self._shown.sums())

    def tile(self, request: Request) -> Response:
        """Return one tile of a layer."""
        path = request.path_params
        picture = self._shown.tile(
            path["layer"], path["level"], (path["row"], path["column"]), path["plane"], request.query_params
        )
        if picture is None:
            return PlainTextResponse("error: no such tile\n", 404)
        kept = {"Cache-Control": f"private, max-age={TILE_AGE}"}
        return Response(picture, media_type=self._shown.layers[path["layer"]].media_type, headers=kept)

    def at(self, request: Request) -> Response:
        """Return what lies at a pixel of the class map."""
        path = request.path_params
        found = self._shown.at(path["y"], path["x"], path["plane"])
        return PlainTextResponse("error: outside the class map\n", 404) if found is None else JSONResponse(found)

    def row(self, request: Request) -> Response:
        """Return the row of an object."""
        number = request.path_params["number"]
        row = self._shown.row(number)
        if row is None:
            missing = explain("no such object", got=number, want=objects_there(self._shown.number))
            return PlainTextResponse(f"error: {missing}\n", 404)
        return JSONResponse(row)


def make_app(shown: Shown, token: str, host: str) -> ASGIApp:
    """Return the application that serves a result under ``/TOKEN/`` of this machine, which is also called ``host``."""
    answers = Answers(shown)
    routes: list[BaseRoute] = [
        Route("/", answers.page),
        Mount("/page", StaticFiles(directory=PAGE)),
        Route("/facts", answers.facts),
        Route("/sums", answers.sums),
        Route("/at/{plane:int}/{y:int}/{x:int}", answers.at),
        Route("/objects/{number:int}", answers.row),
        Route("/tiles/{layer}/{plane:int}/{level:int}/{row:int}/{column:int}", answers.tile),
        *_data(shown.result.url),
    ]
    app = Starlette(routes=[Mount(f"/{token}", routes=routes)], exception_handlers={SlidesegError: _failed})
    return Guard(app, token, host)


def _data(url: str) -> list[BaseRoute]:
    """Serve a local result's own files, in ranges and to any page that has the token: other viewers read the Zarr."""
    place = locate(url)
    if place.bucket is not None:
        return []
    cors = Middleware(
        CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "HEAD"], allow_headers=["Range"], expose_headers=RANGES
    )
    return [Mount("/data", StaticFiles(directory=place.path), middleware=[cors])]


def _failed(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"error: {error}\n", 500)
