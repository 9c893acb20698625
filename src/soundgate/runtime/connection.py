"""One HTTP request that is not led elsewhere, not kept waiting for ever, and of which no secret is logged."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from urllib.parse import urljoin

import requests
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from soundgate.runtime.errors import DownloadError

TIMEOUT_S = (15, 60)  # connecting, and between two bytes
WINDOW_S = 120.0  # in each of which
LEAST_BYTES = 120 * 2**10  # must come
MAX_REDIRECTS = 5
_CHUNK_BYTES = 2**18
_QUEUED = 8
_REDIRECTS = {301, 302, 303, 307, 308}


def without_secrets(text: str) -> str:
    """Return a text whose addresses have lost their user names, passwords and queries."""
    return re.sub(r"\?[^\s'\")<>;,]+", "?...", re.sub(r"//[^/@\s]*@", "//", text))


class _Session(requests.Session):
    """One for a single request that looks at no redirect: `requests` reads its body into memory, unpacked."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Say that there is none."""


@contextmanager
def connected(
    url: str, headers: Mapping[str, str], any_host: bool
) -> Iterator[tuple[requests.Response, Iterator[bytes]]]:
    """Request an address and yield the answer's head and its body, piece by piece as it comes, not decoded.

    The connection lives in a thread of its own: whatever a server does to hold up its lines, headers or body, here
    it is given up when it brings less than ``LEAST_BYTES`` in ``WINDOW_S`` seconds.

    Args:
        url: ``http`` or ``https``.
        headers: of the request.
        any_host: redirects may lead to another host, or from https to http: the content will be known by its hash.

    Raises:
        DownloadError: another kind of address, a redirect that leads elsewhere, too many of them, or too slow.
        requests.RequestException, urllib3.exceptions.HTTPError: the connection failed.
    """
    items: queue.Queue = queue.Queue(_QUEUED)
    given_up = threading.Event()
    arguments = url, headers, any_host, items, given_up
    threading.Thread(target=_pump, args=arguments, daemon=True, name="download").start()
    arriving = _arriving(items, url)
    try:
        yield next(arriving), arriving
    finally:
        given_up.set()


def _arriving(items: queue.Queue, url: str) -> Iterator:
    """Yield what the thread delivers, and raise what it raised, or that it is too slow."""
    ends, arrived = time.monotonic() + WINDOW_S, 0
    while True:
        try:
            item = items.get(timeout=max(0.0, ends - time.monotonic()))
        except queue.Empty:
            item = b""
        if item is None:
            return
        if isinstance(item, Exception):
            raise item
        arrived += len(item) if isinstance(item, bytes) else 0
        if time.monotonic() >= ends:
            if arrived < LEAST_BYTES:
                found = f"{arrived} bytes in {WINDOW_S:g} s"
                raise DownloadError(without_secrets(url), expected=f"{LEAST_BYTES} bytes or more", found=found)
            ends, arrived = time.monotonic() + WINDOW_S, 0
        if item != b"":
            yield item


def _pump(url: str, headers: Mapping[str, str], any_host: bool, items: queue.Queue, given_up: threading.Event) -> None:
    def deliver(item: object) -> None:
        while not given_up.is_set():
            try:
                return items.put(item, timeout=0.2)
            except queue.Full:
                continue

    try:
        with closing(_open(url, headers, any_host)) as response:
            deliver(response)
            while not given_up.is_set() and (piece := response.raw.read1(_CHUNK_BYTES, decode_content=False)):
                deliver(piece)
        deliver(None)
    except Exception as error:  # whatever it is, it belongs to the one who asked
        deliver(error)


def _open(url: str, headers: Mapping[str, str], any_host: bool) -> requests.Response:
    """Follow redirects by hand, since each is looked at first."""
    first = _split(url)
    for _ in range(MAX_REDIRECTS + 1):
        if _split(url).scheme not in ("http", "https"):
            raise DownloadError(without_secrets(url), expected="an address of http or https", found="another scheme")
        with _Session() as session:
            response = session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S, allow_redirects=False)
        if response.status_code not in _REDIRECTS:
            return response
        response.close()
        url = _joined(url, response.headers.get("Location", ""))
        target = _split(url)
        downgraded = (first.scheme, target.scheme) == ("https", "http")
        if not any_host and (target.host != first.host or downgraded):
            remedy = "Write the address it leads to into the source list, or give a hash of the file."
            found = f"a redirect to {without_secrets(url)}"
            expected = f"a redirect within {first.scheme}://{first.host}, as no hash is known"
            raise DownloadError(without_secrets(first.url), expected=expected, found=found, remedy=remedy)
    raise DownloadError(without_secrets(first.url), expected=f"{MAX_REDIRECTS} redirects at most", found="more")


def _split(url: str) -> Url:
    """Return the parts of an address as the one who connects takes it apart: others find another host in some."""
    try:
        return parse_url(url.lstrip())
    except LocationParseError as error:
        raise DownloadError(without_secrets(url), expected="an address of http or https", found=str(error)) from error


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        found = f"a redirect to {without_secrets(location)}: {error}"
        raise DownloadError(without_secrets(url), expected="an address of http or https", found=found) from error
