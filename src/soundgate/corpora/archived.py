"""A corpus that is one archive on the web: downloaded, checked or pinned, unpacked."""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from soundgate.corpora.archives import unpack
from soundgate.corpora.index import Entry
from soundgate.corpora.source_list import NBytes, read_source_list
from soundgate.corpora.unpacking import NoRoomError
from soundgate.corpora.walking import Refused
from soundgate.runtime.console import logger
from soundgate.runtime.download import MAX_BYTES, download
from soundgate.runtime.errors import CorpusError, FormatError
from soundgate.runtime.files import sha256_of, write_json
from soundgate.runtime.pins import Sha256

PINNED_NAME = "pinned.json"
_PINS = TypeAdapter(dict[str, Sha256])


class ArchiveSource(BaseModel):
    """A source list of one archive.

    Args:
        urls: mirrors, tried in turn.
        sha256: of the archive, in hexadecimal; None where nobody publishes one: then the first download's is
            pinned.
        size: of the archive in bytes, when known.
        max_size: bytes it may have where ``size`` is not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    urls: list[str] = Field(min_length=1)
    sha256: Sha256 | None
    size: NBytes | None = None
    max_size: NBytes = MAX_BYTES


def fetch_archive(source_list: str | Path, work_folder: str | Path) -> Path:
    """Download and unpack the archive of a source list.

    Killed at any instant, the next call goes on: the archive, a part of it and what was unpacked stay in the
    work folder. An archive without a published hash is pinned there, in ``pinned.json``, once it was unpacked
    whole; from then on only that one is taken.

    Args:
        source_list: see `ArchiveSource`.
        work_folder: where everything is kept.

    Returns:
        The folder with the archive's content.

    Raises:
        ConfigError: the source list is wrong.
        DownloadError: the archive cannot be had, or is another than the promised or pinned one.
        CorpusError: the archive is corrupt or unsafe.
        FormatError: ``pinned.json`` is damaged.
    """
    source = read_source_list(source_list, ArchiveSource, "one archive")
    work_folder, name = Path(work_folder), Path(source_list).stem
    archive, pins = work_folder / f"{name}.archive", work_folder / PINNED_NAME
    pinned = _read_pins(pins)
    known = source.sha256 or pinned.get(name)
    download(source.urls, archive, f"sha256:{known}" if known else None, source.size, max_size=source.max_size)
    sha256 = known or sha256_of(archive)
    try:
        folder = unpack(archive, work_folder / f"{name}-{sha256[:16]}")
    except NoRoomError:
        raise
    except CorpusError:
        if not known:
            archive.unlink()
        raise
    if not known:
        write_json(pins, pinned | {name: sha256})
        logger.info("%s: sha256 %s pinned in %s", name, sha256, pins)
    return folder


def keep_files(entries: list[Entry], root: str | Path, folder: str | Path) -> list[Entry]:
    """Copy the files of entries from an unpacked archive into a corpus, with their paths below ``root``.

    Returns:
        The entries of the copies.
    """
    kept = [entry._replace(path=Path(folder) / Path(entry.path).relative_to(root)) for entry in entries]
    for entry, copy in zip(entries, kept, strict=True):
        copy.path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(entry.path, copy.path)
    return kept


def moved(refused: list[Refused], root: str | Path, folder: str | Path) -> list[Refused]:
    """Name refused files of an unpacked archive by the places that they would have had in a corpus."""
    return [one._replace(path=Path(folder) / one.path.relative_to(root)) for one in refused]


def _read_pins(path: Path) -> dict[str, str]:
    try:
        return _PINS.validate_json(path.read_bytes()) if path.is_file() else {}
    except ValidationError as error:
        found = str(error.errors(include_url=False)[0]["msg"])
        raise FormatError(path, expected="the pinned hashes", found=found, remedy="Delete it.") from error
