"""Downloads that resume, are checked against what was promised, and appear only when they are whole."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

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

from soundgate.runtime.connection import connected, without_secrets
from soundgate.runtime.console import logger
from soundgate.runtime.errors import DownloadError
from soundgate.runtime.files import free_bytes, fsync_folder, write_text

MAX_BYTES = 2**34  # of a file whose size nobody states
_FRUIT_BYTES = 2**16  # of a connection that was worth making
_LOOK_BYTES = 2**26  # between two looks at the room on the disk
_LASTING = {400, 401, 403, 404, 405, 410, 451}
# Numbers of more digits than any file has bytes are none: Python refuses to read those of thousands.
_LENGTH = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")


class _Promise(NamedTuple):
    """What is known of a file beforehand.

    Attributes:
        size: in bytes, None where nobody states it.
        limit: how many it may have.
        hashed: its hash is known, so that it does not matter from where and in how many parts it comes.
    """

    size: int | None
    limit: int
    hashed: bool


class _Dropped(Exception):
    """A transfer that ended early and may be taken up again."""


def download(
    url: str | Iterable[str],
    destination: str | Path,
    checksum: str | None,
    size: int | None = None,
    attempts: int = 6,
    backoff_s: float = 1.0,
    max_size: int = MAX_BYTES,
) -> Path:
    """Download a file, taking up an earlier part, and rename it into place once its checksum is right.

    The part stands in ``<destination>.partial`` and survives a kill. A dropped connection is resumed after a
    pause that doubles each time; a wrong checksum deletes the part and starts once more from zero. Without a
    checksum a part is taken up only where the server says that it is of the same version (its ETag or date, kept
    beside the part), and a redirect is followed only on the same host. What a server calls compressed is stored as
    it comes. A server that brings next to nothing is given up, and no more is stored than the disk has room for.

    Args:
        url: where the file is (http or https), or several mirrors of it, tried in turn.
        destination: the finished file; when it is already there with the right checksum, nothing is fetched.
        checksum: ``"md5:<hex>"`` or ``"sha256:<hex>"`` of the whole file; None where nobody publishes one: then
            only lengths are held against what the server says.
        size: of the whole file in bytes, when known: not one byte more is stored.
        attempts: connections tried at each mirror with hardly a new byte before it is given up.
        backoff_s: first pause between two attempts, in seconds.
        max_size: bytes the file may have where ``size`` is None.

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
    promise = _Promise(size, max_size if size is None else size, checksum is not None)
    failures = []
    for mirror in [url] if isinstance(url, str) else url:
        for _ in ("resumed", "from zero"):
            try:
                _fetch(mirror, partial, promise, attempts, backoff_s)
            except DownloadError as error:
                failures.append(without_secrets(f"{mirror}: expected {error.expected}; found {error.found}"))
                break
            wrong = _commit(partial, destination, checksum)
            if wrong is None:
                return destination
            failures.append(f"{without_secrets(mirror)}: {wrong}")
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
    _version_path(partial).unlink(missing_ok=True)
    os.replace(partial, destination)
    fsync_folder(destination.parent)
    return None


def _fetch(url: str, partial: Path, promise: _Promise, attempts: int, backoff_s: float) -> None:
    """Fill the part until it seems whole; give up after ``attempts`` connections that brought hardly anything."""
    longest, fruitless = _length(partial), 0
    while True:
        try:
            return _transfer(url, partial, promise)
        except (_Dropped, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            if promise.size is not None and _length(partial) == promise.size:
                return None
            fruitless = 0 if _length(partial) - longest >= _FRUIT_BYTES else fruitless + 1
            longest = max(longest, _length(partial))
            reason = without_secrets(str(error))
            if fruitless >= attempts:
                raise DownloadError(without_secrets(url), expected="the whole file", found=reason) from error
            pause_s = min(backoff_s * 2**fruitless, 60)
            logger.info("%s; next attempt in %.3g s", reason, pause_s)
            time.sleep(pause_s)


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _transfer(url: str, partial: Path, promise: _Promise) -> None:
    """Make one connection and append, or start over where the server does not give the range asked for."""
    start = _resumable(partial, promise)
    if start == promise.size:
        return
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if not promise.hashed:
            headers["If-Range"] = _version_path(partial).read_text(encoding="utf-8")
    with connected(url, headers, promise.hashed) as (response, pieces):
        if response.status_code == 416 and start:
            return _settle_416(response, partial, start, promise)
        if response.status_code in _LASTING:
            raise DownloadError(url, expected="the file", found=f"HTTP {response.status_code}")
        if response.status_code not in (200, 206):
            raise _Dropped(f"HTTP {response.status_code}")
        whole = None
        if response.status_code == 206:
            whole = _require_range(response, partial, start, headers.get("If-Range"))
        else:
            start = 0
        length = _stated(response.headers.get("Content-Length", ""))
        total = promise.size or whole or (None if length is None else start + length)
        if total is not None and total > promise.limit:
            raise DownloadError(url, expected=f"at most {promise.limit} bytes", found=f"{total} bytes announced")
        _require_room(partial, (total or start) - start)
        if start == 0:
            _keep_version(response, partial)
        _append(pieces, partial, start, total, promise)
    if (needed := promise.size or whole) is not None and _length(partial) < needed:
        raise _Dropped(f"the server ended after {_length(partial)} of {needed} bytes")


def _stated(length: str) -> int | None:
    """Return a length that a server states; None where it states none that makes sense."""
    return int(length) if _LENGTH.fullmatch(length) else None


def _resumable(partial: Path, promise: _Promise) -> int:
    """Return how much of the part may be kept; delete one that is too long or nobody can vouch for."""
    start = _length(partial)
    if start > promise.limit or not promise.hashed and not _version_path(partial).is_file():
        partial.unlink(missing_ok=True)
        return 0
    return start


def _version_path(partial: Path) -> Path:
    return partial.with_name(partial.name + ".version")


def _keep_version(response: requests.Response, partial: Path) -> None:
    """Note which version of the file the part is of, for a download that no hash will check."""
    tag = response.headers.get("ETag", "")
    version = tag if tag.startswith('"') else response.headers.get("Last-Modified")
    _version_path(partial).unlink(missing_ok=True)
    if version:
        partial.unlink(missing_ok=True)  # first: a part must never stand beside a version that is not its own
        write_text(_version_path(partial), version)


def _require_range(response: requests.Response, partial: Path, start: int, version: str | None) -> int | None:
    """Refuse another range than was asked for; return how long the whole file is, where the server says that."""
    given = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    if not given or int(given[1]) != start:
        partial.unlink(missing_ok=True)
        raise _Dropped(f"byte {start} asked for, Content-Range {given and given[0]!r} given")
    if version is not None and version not in (response.headers.get("ETag"), response.headers.get("Last-Modified")):
        partial.unlink(missing_ok=True)
        raise _Dropped("another version of the file than the part is of")
    return _stated(given[3])


def _settle_416(response: requests.Response, partial: Path, start: int, promise: _Promise) -> None:
    """Take "range not satisfiable" as the end where the file is as long as the part, else start over.

    Where the server does not say how long it is, only a hash can tell.
    """
    if promise.size is not None:
        raise DownloadError(response.url, expected=f"{promise.size} bytes", found=f"no more than {start} bytes")
    whole = _stated(response.headers.get("Content-Range", "").rpartition("/")[2])
    if whole != start and not (whole is None and promise.hashed):
        partial.unlink()
        raise _Dropped(f"the part has {start} bytes, the server's file {whole or 'an unknown number'}")


def _require_room(partial: Path, size: int) -> None:
    if (free := free_bytes(partial.parent)) < max(size, 1):
        remedy = "Make room, or set SOUNDGATE_SCRATCH to a folder that has it."
        raise DownloadError(partial.parent, expected=f"room for {size} bytes", found=f"room for {free}", remedy=remedy)


def _append(pieces: Iterable[bytes], partial: Path, start: int, total: int | None, promise: _Promise) -> None:
    """Write the body to the part from ``start`` on, as far as the file may go."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    progress = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
    with open(partial, "r+b" if start else "wb") as file, progress:
        file.truncate(start)
        file.seek(start)
        task = progress.add_task(partial.stem, total=total, completed=start)
        looked_at = start
        for piece in pieces:
            if file.tell() + len(piece) > promise.limit:
                partial.unlink()
                raise DownloadError(partial.stem, expected=f"at most {promise.limit} bytes", found="more bytes")
            if file.tell() - looked_at >= _LOOK_BYTES:
                looked_at = file.tell()
                _require_room(partial, len(piece))
            file.write(piece)
            progress.advance(task, len(piece))
