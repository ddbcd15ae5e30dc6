"""The files of local results themselves, in ranges and to any page that has the token: other viewers read the Zarr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from slideseg.storage.place import locate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

RANGES = ("Accept-Ranges", "Content-Range", "Content-Length", "ETag")
"""Headers that scripts of other pages may see of the result's files."""


def data_of(urls: Sequence[str]) -> Mount:
    """Return what serves the files of results below ``/data``, of the one that the address's ``number`` names."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["GET", "HEAD"],
        allow_headers=["Range"],
        expose_headers=RANGES,
        allow_private_network=True,  # pages of the internet, such as neuroglancer's
    )
    return Mount("/data", _Data(urls), middleware=[cors])


class _Data:
    """Files of results. A refusal is an answer like others, not an exception: so it too gets the headers that let pages see it.

    Readers of Zarr ask for what may not be there, and take 404 for an answer; one that they are not let to see is a failure.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        answer: Response
        number = scope["path_params"].get("number", 0)
        place = locate(self._urls[number]) if number < len(self._urls) else None
        if place is None or place.bucket is not None:
            answer = PlainTextResponse("error: no such local result\n", 404)
        else:
            files = StaticFiles(directory=place.path, check_dir=False)
            try:
                answer = await files.get_response(files.get_path(scope), scope)
            except HTTPException as refusal:
                answer = PlainTextResponse(f"error: {refusal.detail}\n", refusal.status_code)
        await answer(scope, receive, send)
