"""Show results in the browser: `slideseg.view`.

results -> the layers of those that are looked at -> a server on this machine -> the page, or a picture of it
"""

from __future__ import annotations

import errno
import html
import os
import secrets
import socket
import threading
import webbrowser
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import uvicorn

from slideseg.cohort.failed import failed_rows
from slideseg.cohort.listing import find_results, places_of
from slideseg.errors import ConfigError, ResultError, explain
from slideseg.storage.place import local_path
from slideseg.storage.whole_file import check_target, whole
from slideseg.viewer.chromium import Chromium, find_chromium
from slideseg.viewer.fragment import check_place, check_sheet_place
from slideseg.viewer.server.app import make_app
from slideseg.viewer.slides import Slides

if TYPE_CHECKING:
    from pathlib import Path

    from slideseg.cohort.listing import Results

LOOPBACK = "127.0.0.1"
"""Where nobody but this machine can connect."""
TOKEN_BYTES = 24
WAITING = 64
"""Connections that wait to be served at most."""
PATIENCE_S = 5.0
"""Wait for the server to end."""
SIZE = (1600, 1000)
"""Width and height of a screenshot."""
SIDES = (200, 8192)
"""Of a screenshot, at least and at most."""
COMPARED = (0, 1)
"""Numbers of the results that are compared."""
LOADED_S = 180.0
"""Wait for the page to load all tiles that it shows."""


class View:
    """Results that are being served, until `close` or the end of the process."""

    def __init__(self, slides: Slides, listening: socket.socket, place: str, name: str = LOOPBACK) -> None:
        self._slides, self._socket = slides, listening
        token = secrets.token_urlsafe(TOKEN_BYTES)
        host, port = listening.getsockname()[:2]
        host = f"[{host}]" if ":" in host else host
        self.address = f"http://{host}:{port}/{token}/{place}"
        """Where the browser finds it. The token in it is the key: who has it, sees the results."""
        config = uvicorn.Config(make_app(slides, token, name), lifespan="off", ws="none", access_log=False, log_level="error")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), name="slideseg view", daemon=True)
        self._thread.start()

    def open_browser(self) -> bool:
        """Open the page in the user's browser; return whether there is one."""
        return webbrowser.open(self.address)

    def screenshot(self, output: str | os.PathLike[str], size: tuple[int, int] = SIZE, *, overwrite: bool = False) -> Path:
        """Write a PNG of the page, ``size`` = (width, height), once all it shows is loaded. Needs Chromium or Chrome.

        Raises:
            ConfigError: if the size is out of range, or there is no Chromium.
            ResultError: if the target exists, or something that the page shows is damaged or not there.
            RunError: if the browser fails, or the file can't be written.
        """
        path = check_screenshot(output, size, overwrite=overwrite)
        with Chromium(size) as browser:
            browser.open(self.address)
            browser.wait_for("window.slideseg && window.slideseg.settled()", LOADED_S)
            failure = browser.evaluate("window.slideseg.failure()")
            if failure:
                raise ResultError(explain(f"the page can't be shown whole: {failure}"))
            picture = browser.screenshot()
        with whole(path) as partial:
            partial.write_bytes(picture)
        return path

    def wait(self) -> None:
        """Serve until the process is interrupted."""
        while self._thread.is_alive():
            self._thread.join(1.0)

    def close(self) -> None:
        """End the server and release the slides."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(PATIENCE_S)
        self._socket.close()
        self._slides.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _repr_html_(self) -> str:
        """Show the page in a notebook."""
        return f'<iframe src="{html.escape(self.address)}" width="100%" height="600" style="border:0"></iframe>'


def view(  # noqa: PLR0913  # what a user may want of it
    results: Results,
    *,
    port: int = 0,
    host: str = LOOPBACK,
    browser: bool = True,
    at: str = "",
    compare: bool = False,
    edit: bool = False,
) -> View:
    """Show a finished result in the browser, slide, classes and objects, to pan, zoom and click; or a sheet of many.

    Args:
        results: where a result lies, or what `open_result` returned; a folder of results, or several of both, make a sheet.
        port: where to listen; 0 for any that is free.
        host: the address to listen on; only this machine can connect to the default.
        browser: open the page in the user's browser.
        at: what the page shows first, as behind the ``#`` of its address: ``object=12`` or ``x=4000&y=2500&zoom=2``; of a
            sheet ``sort=objects&down=1`` or ``find=biopsy``.
        compare: show the first two results beside each other instead of the sheet.
        edit: let the page change classes of objects and remove some, in a list beside the result, such as
            ``biopsy.edits.json`` beside ``biopsy.zarr``; the result stays as it is.

    Returns:
        The view, which is served in the background until its `close`; its `address` opens it in any browser.

    Raises:
        ResultError: if a single result, or one of two that are compared, is missing, unfinished or damaged, or a folder holds
            none.
        ConfigError: if host or port can't be used, the page knows no such place, there are not two to compare, or there is
            nothing to edit.
    """
    slides = _slides(results, editable=edit)
    with ExitStack() as unless_served:
        unless_served.callback(slides.close)
        place = _place(slides, at, compare=compare)
        view = View(slides, listen(host, port), place, host)
        unless_served.pop_all()
    if browser:
        view.open_browser()
    return view


def _slides(results: Results, *, editable: bool) -> Slides:
    """Return the results that were named, on a sheet unless that was a single one.

    Raises:
        ResultError: if there are none.
    """
    named = places_of(results)
    found = find_results(named)
    failed = {row["result"]: row for folder in named for row in failed_rows(folder, found)}
    has_sheet = len(named) > 1 or found != [local_path(named[0])]
    return Slides([*found, *failed], failed=failed, has_sheet=has_sheet, editable=editable)


def _place(slides: Slides, at: str, *, compare: bool) -> str:
    """Return what stands behind the token in the page's address.

    Raises:
        ConfigError: if the page knows no such place, there are not two results to compare, or nothing can be edited.
        ResultError: if a result that is shown first can't be opened.
    """
    if compare and len(slides) != len(COMPARED):
        raise ConfigError(explain("two results can be compared", got=len(slides), want="slideseg view A.zarr B.zarr --compare"))
    if slides.has_sheet and not compare:
        fragment = check_sheet_place(at)
        return f"#{fragment}" if fragment else ""
    with slides.open(0) as shown:
        fragment = check_place(at, shown.classes.planes, shown.number)
        if slides.editable and not shown.edits.editable:
            raise ConfigError(explain("nothing can be edited here", got=shown.edits.problem or "no objects"))
    if compare:
        with slides.open(1):  # so that what is wrong with it is known now
            fragment = "&".join(["with=1", *([fragment] if fragment else [])])
    return ("r/0/" if compare else "") + (f"#{fragment}" if fragment else "")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ConfigError: if it can't.
    """
    what = f"can't listen on {host} port {port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError) as error:
        got = "no host's name" if isinstance(error, UnicodeError) else error.strerror
        raise ConfigError(explain(what, got=got, try_=f"another --host, such as {LOOPBACK}")) from error
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(WAITING)
    except (OSError, OverflowError) as error:
        listening.close()
        of_host = isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL
        try_ = f"another --host, such as {LOOPBACK}" if of_host else "another --port, or none for any that is free"
        got = error.strerror if isinstance(error, OSError) else "no port's number"
        raise ConfigError(explain(what, got=got, try_=try_)) from error
    return listening


def check_screenshot(output: str | os.PathLike[str], size: tuple[int, int], *, overwrite: bool) -> Path:
    """Return the file that a screenshot may be written to, before anything is started.

    Raises:
        ConfigError: if the size is out of range, the name is not that of a PNG, or there is no Chromium.
        ResultError: if the file is there already and may not be replaced, or its folder can't be written.
    """
    low, high = SIDES
    if not all(low <= side <= high for side in size):
        want = f"{low} to {high} pixels a side"
        raise ConfigError(explain("the screenshot's size is out of range", got="x".join(map(str, size)), want=want))
    if not os.fspath(output).lower().endswith(".png"):
        raise ConfigError(explain("a screenshot is a PNG", got=output, want="a name that ends in .png"))
    find_chromium()
    return check_target(output, overwrite=overwrite)
