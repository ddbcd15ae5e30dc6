"""Who may ask: those who know the token, of this machine by its own name."""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


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
