"""What is answered about many results: the sheet, and the card and the picture of each when they come into view."""

from __future__ import annotations

from threading import BoundedSemaphore
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from slideseg.viewer.cards import Cards
from slideseg.viewer.server.slide import numbered, page_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from slideseg.viewer.slides import Slides

AT_ONCE = 2
"""Cards and pictures that are made at a time: a sheet asks for many, and its reader must not wait for them to open a slide."""
PICTURE_AGE = 600
"""Seconds that a browser keeps a picture, so that the way back to the sheet is quick."""


class SheetAnswers:
    """What is answered about all results together."""

    def __init__(self, slides: Slides) -> None:
        self._slides, self._cards = slides, Cards(slides.urls, slides.failed)
        self._making = BoundedSemaphore(AT_ONCE)
        self.routes = [Route("/", self.page), Route("/list", self.names)]
        """Where each answer is."""
        self.routes_of_one = [Route("/card", self.card), Route("/thumbnail", self.thumbnail)]
        """The same below the address of a result."""

    def page(self, _: Request) -> Response:
        """Return the page itself."""
        return page_of("sheet.html")

    def names(self, _: Request) -> Response:
        """Return the names of all results: nothing of them is read."""
        return JSONResponse(self._cards.names())

    def card(self, request: Request) -> Response:
        """Return the numbers of a result, or what is wrong with it."""
        number = numbered(request, self._slides)
        with self._making:
            return JSONResponse(self._cards.card(number))

    def thumbnail(self, request: Request) -> Response:
        """Return the picture of a result."""
        number = numbered(request, self._slides)
        with self._making:
            picture = self._cards.picture(number)
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": f"private, max-age={PICTURE_AGE}"})
