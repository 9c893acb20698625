"""A local HTTP server whose files misbehave as their test asks."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable
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
    asked: list[dict[str, str]] = field(default_factory=list)  # all headers seen
    headers: dict[str, str] = field(default_factory=dict)  # beside the usual ones
    length: bool = True  # state one at all
    heeds_if_range: bool = True
    endless: bytes = b""  # sent again and again behind the content, until the client is gone
    pause_s: float = 0.0  # before each piece of it
    head: Iterable[bytes] = ()  # sent byte by byte instead of an answer, until the client is gone

    @property
    def sent(self) -> int:
        """Bytes of the endless part that the system took."""
        return self._sent

    _sent: int = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        served = self.server.files[self.path.partition("?")[0]]
        wanted = self.headers.get("Range", "")
        version = served.headers.get("ETag", served.headers.get("Last-Modified"))
        if served.heeds_if_range and self.headers.get("If-Range", version) != version:
            wanted = ""
        served.requests.append(wanted)
        served.asked.append(dict(self.headers))
        self.served = served
        if served.head:
            self._drip(served.head, served.pause_s)
            return
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
        length = len(body) + (served.length_shift if served.lies >= 0 else 0) if served.length else None
        self._head(206 if ranged else 200, length, shifted if ranged else None)
        if served.drop_after is not None and served.drops > 0:
            served.drops -= 1
            body = body[: served.drop_after]
        if served.hold_after is not None:
            self.wfile.write(body[: served.hold_after])
            body = body[served.hold_after :]
            served.go_on.wait(LIMIT_S)
        self.wfile.write(body)
        if served.endless:
            self._drip(iter(lambda: served.endless, None), served.pause_s)

    def _drip(self, pieces: Iterable[bytes], pause_s: float) -> None:
        try:
            for piece in pieces:
                self.wfile.write(piece)
                self.served._sent += len(piece)
                time.sleep(pause_s)
        except OSError:
            self.close_connection = True

    def _head(self, status: int, length: int | None, content_range: str | None = None) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in self.served.headers.items():
            self.send_header(name, value)
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
