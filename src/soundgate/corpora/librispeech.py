"""LibriSpeech from its mirrors: downloaded, checked, unpacked, listed."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from soundgate.corpora.archives import unpack
from soundgate.corpora.folder import Listed, folder_entries
from soundgate.corpora.source_list import NBytes, read_source_list
from soundgate.runtime.download import download
from soundgate.runtime.errors import ConfigError


class Archive(BaseModel):
    """One subset's archive.

    Args:
        urls: mirrors, tried in turn.
        checksum: ``"md5:<hex>"`` or ``"sha256:<hex>"``.
        size: in bytes, when known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    urls: list[str] = Field(min_length=1)
    checksum: str = Field(pattern=r"^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})$")
    size: NBytes | None = None


class LibriSpeechSource(BaseModel):
    """The source list of LibriSpeech; see ``sources/librispeech.yaml``.

    Args:
        archives: subset name to its archive.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    archives: dict[str, Archive]


def librispeech_entries(
    source_list: str | Path, subsets: list[str], folder: str | Path, work_folder: str | Path
) -> Listed:
    """Download and unpack subsets of LibriSpeech and list their files.

    Killed at any instant, the next call goes on: finished archives and parts of one stay in the work folder.

    Args:
        source_list: mirrors and checksums, see `LibriSpeechSource`.
        subsets: which archives of the list.
        folder: each subset is unpacked into a folder of its name below it.
        work_folder: holds the archives.

    Returns:
        The entries of all subsets, and the files refused.

    Raises:
        ConfigError: the source list is wrong or lacks a subset.
        DownloadError: an archive cannot be had as promised.
        CorpusError: an archive is corrupt, unsafe or without audio.
    """
    archives = read_source_list(source_list, LibriSpeechSource, "LibriSpeech").archives
    unknown = [subset for subset in subsets if subset not in archives]
    if unknown:
        raise ConfigError("subsets", expected=f"some of {sorted(archives)}", found=str(unknown))
    entries, refused = [], []
    for subset in subsets:
        archive = archives[subset]
        path = Path(work_folder) / f"{subset}.tar.gz"
        download(archive.urls, path, archive.checksum, archive.size)
        listed = folder_entries(unpack(path, Path(folder) / subset))
        entries, refused = entries + listed.entries, refused + listed.refused
    return Listed(entries, refused, "LibriSpeech")
