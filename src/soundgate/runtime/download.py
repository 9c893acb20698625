"""Downloads that resume, are checked against what was promised, and appear only when they are whole."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import requests
import urllib3
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from soundgate.runtime.console import logger
from soundgate.runtime.errors import DownloadError
from soundgate.runtime.files import fsync_folder

TIMEOUT_S = (15, 60)  # connecting, and between two bytes
_CHUNK_BYTES = 2**18
_LASTING = {400, 401, 403, 404, 405, 410, 451}
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class _Dropped(Exception):
    """A transfer that ended early and may be taken up again."""


def download(
    url: str | Iterable[str],
    destination: str | Path,
    checksum: str | None,
    size: int | None = None,
    attempts: int = 6,
    backoff_s: float = 1.0,
) -> Path:
    """Download a file, taking up an earlier part, and rename it into place once its checksum is right.

    The part stands in ``<destination>.partial`` and survives a kill. A dropped connection is resumed after a
    pause that doubles each time; a wrong checksum deletes the part and starts once more from zero.

    Args:
        url: where the file is, or several mirrors of it, tried in turn.
        destination: the finished file; when it is already there with the right checksum, nothing is fetched.
        checksum: ``"md5:<hex>"`` or ``"sha256:<hex>"`` of the whole file; None where nobody publishes one: then
            only lengths are held against what the server says.
        size: of the whole file in bytes, when known.
        attempts: connections tried at each mirror without a new byte before it is given up.
        backoff_s: first pause between two attempts, in seconds.

    Returns:
        ``destination``.

    Raises:
        DownloadError: no mirror gave the file; ``found`` tells why each did not.
    """
    destination = Path(destination)
    if destination.is_file() and (checksum is None or checksum_of(destination, checksum) == checksum.lower()):
        return destination
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = destination.with_name(destination.name + ".partial")
    failures = []
    for mirror in [url] if isinstance(url, str) else url:
        for _ in ("resumed", "from zero"):
            try:
                _fetch(mirror, partial, size, attempts, backoff_s)
            except DownloadError as error:
                failures.append(f"{mirror}: {error.found}")
                break
            wrong = _commit(partial, destination, checksum)
            if wrong is None:
                return destination
            failures.append(f"{mirror}: {wrong}")
            logger.warning("%s: %s", destination.name, failures[-1])
    raise DownloadError(
        destination.name,
        expected=f"a file with {checksum or 'any checksum'}",
        found="; ".join(failures),
        remedy="Check the network and the source list; what was fetched is kept and taken up again.",
    )


def checksum_of(path: str | Path, like: str) -> str:
    """Return a file's checksum as ``"<algorithm>:<hex>"``.

    Args:
        path: the file.
        like: a checksum whose algorithm is used, ``"md5:<hex>"`` or ``"sha256:<hex>"``.

    Raises:
        DownloadError: the checksum names no such algorithm.
    """
    if not re.fullmatch(r"md5:[0-9a-fA-F]{32}|sha256:[0-9a-fA-F]{64}", like):
        raise DownloadError("checksum", expected="md5:<32 hex digits> or sha256:<64 hex digits>", found=like)
    algorithm = like.partition(":")[0]
    with open(path, "rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def _commit(partial: Path, destination: Path, checksum: str | None) -> str | None:
    """Rename the part into place; where its checksum is wrong, delete it and say so."""
    if checksum is not None and (found := checksum_of(partial, checksum)) != checksum.lower():
        length = partial.stat().st_size
        partial.unlink()
        return f"wrong checksum {found} of {length} bytes"
    with open(partial, "rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, destination)
    fsync_folder(destination.parent)
    return None


def _fetch(url: str, partial: Path, size: int | None, attempts: int, backoff_s: float) -> None:
    """Fill the part until it seems whole; give up after ``attempts`` connections that brought nothing new."""
    longest, fruitless = _length(partial), 0
    while True:
        try:
            return _transfer(url, partial, size)
        except (_Dropped, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            if size is not None and _length(partial) == size:
                return None
            fruitless = 0 if _length(partial) > longest else fruitless + 1
            longest = max(longest, _length(partial))
            if fruitless >= attempts:
                raise DownloadError(url, expected="the whole file", found=str(error)) from error
            pause_s = min(backoff_s * 2**fruitless, 60)
            logger.info("%s; next attempt in %.3g s", error, pause_s)
            time.sleep(pause_s)


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _transfer(url: str, partial: Path, size: int | None) -> None:
    """Make one connection and append, or start over where the server does not give the range asked for."""
    start = _length(partial)
    if size is not None and start >= size:
        if start == size:
            return
        partial.unlink()
        start = 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with closing(requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S)) as response:
        if response.status_code == 416 and start:
            return _settle_416(response, partial, start, size)
        if response.status_code in _LASTING:
            raise DownloadError(url, expected="the file", found=f"HTTP {response.status_code}")
        if response.status_code not in (200, 206):
            raise _Dropped(f"HTTP {response.status_code}")
        if response.status_code == 206:
            given = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
            if not given or int(given[1]) != start:
                partial.unlink(missing_ok=True)
                raise _Dropped(f"byte {start} asked for, Content-Range {given and given[0]!r} given")
        else:
            start = 0
        length = response.headers.get("Content-Length", "")
        total = size or (start + int(length) if length.isdigit() else None)
        _append(response, partial, start, size, total)


def _settle_416(response: requests.Response, partial: Path, start: int, size: int | None) -> None:
    """Take "range not satisfiable" as the end where the file is as long as the part, else start over."""
    if size is not None:
        raise DownloadError(response.url, expected=f"{size} bytes", found=f"no more than {start} bytes")
    whole = response.headers.get("Content-Range", "").rpartition("/")[2]
    if whole.isdigit() and int(whole) != start:
        partial.unlink()
        raise _Dropped(f"the part has {start} bytes, the server's file {whole}")


def _append(response: requests.Response, partial: Path, start: int, size: int | None, total: int | None) -> None:
    """Write the body to the part from ``start`` on; stop at more than ``size`` bytes."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    progress = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
    with open(partial, "r+b" if start else "wb") as file, progress:
        file.truncate(start)
        file.seek(start)
        task = progress.add_task(partial.stem, total=total, completed=start)
        for chunk in response.raw.stream(_CHUNK_BYTES, decode_content=False):
            file.write(chunk)
            progress.advance(task, len(chunk))
            if size is not None and file.tell() > size:
                break
    if size is not None and _length(partial) < size:
        raise _Dropped(f"the server ended after {_length(partial)} of {size} bytes")
