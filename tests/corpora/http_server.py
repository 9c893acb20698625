"""A local HTTP server whose files misbehave as their test asks."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.waiting import LIMIT_S


@dataclass
class Served:
    """How one path answers."""

    content: bytes
    drop_after: int | None = None  # body bytes sent before the connection is closed
    hold_after: int | None = None  # body bytes sent before ``go_on`` is waited for
    go_on: threading.Event = field(default_factory=threading.Event)
    drops: int = 10**6  # how many answers are dropped so
    ranges: bool = True
    range_shift: int = 0  # a lie in Content-Range
    length_shift: int = 0  # a lie in Content-Length
    lies: int = 10**6  # how many answers lie so
    statuses: list[int] = field(default_factory=list)  # answers before the first good one; < 0 stays
    requests: list[str] = field(default_factory=list)  # Range headers seen


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        served = self.server.files[self.path]
        wanted = self.headers.get("Range", "")
        served.requests.append(wanted)
        if served.statuses:
            status = served.statuses[0] if served.statuses[0] < 0 else served.statuses.pop(0)
            self._head(abs(status), 0)
            return
        start = int(re.match(r"bytes=(\d+)-", wanted)[1]) if wanted and served.ranges else 0
        total = len(served.content)
        if start >= total > 0:
            self._head(416, 0, f"bytes */{total}")
            return
        body = served.content[start:]
        shifted = f"bytes {start + served.range_shift}-{total - 1}/{total}"
        ranged = bool(wanted) and served.ranges
        served.lies -= 1
        length = len(body) + (served.length_shift if served.lies >= 0 else 0)
        self._head(206 if ranged else 200, length, shifted if ranged else None)
        if served.drop_after is not None and served.drops > 0:
            served.drops -= 1
            body = body[: served.drop_after]
        if served.hold_after is not None:
            self.wfile.write(body[: served.hold_after])
            body = body[served.hold_after :]
            served.go_on.wait(LIMIT_S)
        self.wfile.write(body)

    def _head(self, status: int, length: int, content_range: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()

    def log_message(self, *_arguments) -> None:
        pass


@contextmanager
def serving(files: dict[str, Served]):
    """Serve paths on 127.0.0.1 and yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.files = files
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
