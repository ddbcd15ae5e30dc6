"""What is answered about edits, and the one thing that a page may write: a change, if the server was started to take them.

A page from elsewhere can send a request here, though it sees no answer. So a change must have the token, come from our own
page as its browser says (``Origin``), and be JSON, which no form of a page can send without asking first.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from slideseg.errors import ConfigError, ResultError, explain
from slideseg.viewer.edit_list import number_of
from slideseg.viewer.server.slide import numbered

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from slideseg.viewer.slides import Slides

MOST_BYTES = 4096
"""Of a change."""
JSON_TYPE = "application/json"


class EditAnswers:
    """What is answered about the edits of the result that the address's ``number`` names."""

    def __init__(self, slides: Slides) -> None:
        self._slides = slides
        self.routes: list[BaseRoute] = [Route("/edits", self.told)]
        """Where each answer is."""
        if slides.editable:
            self.routes = [Route("/edits", self.change, methods=["POST"]), *self.routes]

    def told(self, request: Request) -> Response:
        """Return whether there are edits, and whether there can be."""
        with self._slides.open(numbered(request, self._slides)) as shown:
            return JSONResponse(shown.edits.told())

    async def change(self, request: Request) -> Response:
        """Change one object."""
        refused = refusal(request)
        if refused is not None:
            return PlainTextResponse(f"error: {refused[1]}\n", refused[0])
        try:
            said = json.loads(await request.body())
        except ClientDisconnect:
            return PlainTextResponse("error: nobody waits for an answer\n", 400)
        except (ValueError, RecursionError) as error:
            raise ConfigError(explain("this is no edit", got="no JSON")) from error
        try:
            return JSONResponse(await run_in_threadpool(self._changed, numbered(request, self._slides), said))
        except ResultError as error:  # the change does not go with the result, or the list, as they are
            return PlainTextResponse(f"error: {error}\n", 409)

    def _changed(self, number: int, said: Any) -> dict[str, Any]:
        with self._slides.open(number) as shown:
            row = shown.original_row(number_of(said))
            return shown.edits.change(said, "" if row is None else row["class_name"])


def refusal(request: Request) -> tuple[int, str] | None:
    """Return status and reason for a request that is not our own page's, or too long; None where all is well."""
    sent = request.headers
    if sent.get("origin") != f"{request.url.scheme}://{sent.get('host')}":
        return 403, "changes are taken from the page of slideseg view alone"
    if sent.get("content-type", "").partition(";")[0].strip().lower() != JSON_TYPE:
        return 415, f"a change is sent as {JSON_TYPE}"
    length = sent.get("content-length", "")
    if not (length.isascii() and length.isdecimal()):
        return 411, "a change says how long it is"
    return None if int(length[:20]) <= MOST_BYTES else (413, f"a change has {MOST_BYTES} bytes at most")
