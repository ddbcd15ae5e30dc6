"""A folder on a web server of this machine, which gives parts of files and no ETags."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Whole(SimpleHTTPRequestHandler):
    """Gives whole files alone."""

    def log_message(self, *_: object) -> None:
        pass


class InParts(Whole):
    """Gives parts too."""

    def do_GET(self) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        place = Path(self.translate_path(self.path))
        if asked is None or not place.is_file():
            super().do_GET()
            return
        data = place.read_bytes()
        start, stop = int(asked[1]), min(len(data), int(asked[2]) + 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Last-Modified", self.date_time_string(place.stat().st_mtime))
        self.end_headers()
        self.wfile.write(data[start:stop])


class Server(ThreadingHTTPServer):
    """Takes as many at once as ask: whoever is not taken asks again after a second."""

    request_queue_size = 128


@contextmanager
def serving(folder: Path, kind: type[SimpleHTTPRequestHandler] = InParts) -> Iterator[str]:
    """Serve a folder; give its address."""
    with Server(("127.0.0.1", 0), partial(kind, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
