"""What is answered about one result: the page, its facts, tiles, and what lies at a point."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from slideseg.errors import explain
from slideseg.viewer.fragment import objects_there
from slideseg.viewer.neuroglancer import neuroglancer_link

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from starlette.requests import Request

    from slideseg.viewer.shown import Shown
    from slideseg.viewer.slides import Slides

PAGE = Path(__file__).parents[1] / "page"
"""What the browser gets: HTML, style, script and the viewer client, all from here."""
TILE_AGE = 3600
"""Seconds that a browser keeps a tile; at the next start the token is another one."""
POLICY = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:"
"""What the page may load: nothing from elsewhere."""


def page_of(name: str) -> Response:
    """Return a page of ours."""
    headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
    return FileResponse(PAGE / name, headers=headers)


class SlideAnswers:
    """What is answered about the result that the address's ``number`` names. Each answer is made in a thread of its own."""

    def __init__(self, slides: Slides) -> None:
        self._slides = slides
        self.routes = [
            Route("/", self.page),
            Route("/facts", self.facts),
            Route("/sums", self.sums),
            Route("/warnings", self.warnings),
            Route("/neuroglancer", self.neuroglancer),
            Route("/at/{plane:int}/{y:int}/{x:int}", self.at),
            Route("/objects/{id:int}", self.row),
            Route("/tiles/{layer}/{plane:int}/{level:int}/{row:int}/{column:int}", self.tile),
        ]
        """Where each answer is."""

    def page(self, _: Request) -> Response:
        """Return the page itself."""
        return page_of("viewer.html")

    def facts(self, request: Request) -> Response:
        """Return what the page needs to build itself."""
        with self._shown(request) as shown:
            return JSONResponse(shown.facts())

    def sums(self, request: Request) -> Response:
        """Return counts and areas of the classes' objects."""
        with self._shown(request) as shown:
            return JSONResponse(shown.sums())

    def warnings(self, request: Request) -> Response:
        """Return what whoever uses the result should know of it."""
        with self._shown(request) as shown:
            return JSONResponse(shown.warnings())

    def neuroglancer(self, request: Request) -> Response:
        """Lead to neuroglancer, which reads the result's files from here."""
        with self._shown(request) as shown:
            if not shown.is_local:
                return PlainTextResponse("error: neuroglancer is not shown results in buckets from here\n", 404)
            link = neuroglancer_link(shown.result, urljoin(str(request.url), "data/"))
        return RedirectResponse(link, headers={"Referrer-Policy": "no-referrer"})

    def tile(self, request: Request) -> Response:
        """Return one tile of a layer."""
        path = request.path_params
        with self._shown(request) as shown:
            picture = shown.tile(
                path["layer"], path["level"], (path["row"], path["column"]), path["plane"], request.query_params
            )
            if picture is None:
                return PlainTextResponse("error: no such tile\n", 404)
            kept = {"Cache-Control": f"private, max-age={TILE_AGE}"}
            return Response(picture, media_type=shown.layers[path["layer"]].media_type, headers=kept)

    def at(self, request: Request) -> Response:
        """Return what lies at a pixel of the class map."""
        path = request.path_params
        with self._shown(request) as shown:
            found = shown.at(path["y"], path["x"], path["plane"])
        return PlainTextResponse("error: outside the class map\n", 404) if found is None else JSONResponse(found)

    def row(self, request: Request) -> Response:
        """Return the row of an object."""
        number = request.path_params["id"]
        with self._shown(request) as shown:
            row, there = shown.row(number), objects_there(shown.number)
        if row is None:
            return PlainTextResponse(f"error: {explain('no such object', got=number, want=there)}\n", 404)
        return JSONResponse(row)

    def _shown(self, request: Request) -> AbstractContextManager[Shown]:
        return self._slides.open(numbered(request, self._slides))


def numbered(request: Request, slides: Slides) -> int:
    """Return which result the address names; the first where there is only one.

    Raises:
        HTTPException: if there is none of that number.
    """
    number: int = request.path_params.get("number", 0)
    if number >= len(slides):
        raise HTTPException(404, "no such result")
    return number
