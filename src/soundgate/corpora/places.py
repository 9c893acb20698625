"""Where the files of a corpus are: as text in its tables, and as paths that can be opened."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from soundgate.runtime.errors import CorpusError
from soundgate.runtime.paths import path_from_text, path_to_text

_FROM_WORKING_DIRECTORY = ("./", "../")
MOVED = "Give the origin as an absolute path, or run where it was given, and build the corpus again."


def stored_path(path: str | Path, corpus_folder: str | Path | None) -> str:
    """Return the text that a corpus's tables name a file by.

    A file inside the corpus's own folder is named relative to that folder (``audio/a.flac``), so that the corpus
    can be moved; another one as its origin was given: absolute, or relative to the working directory, which is the
    repository, and then beginning with ``./`` or ``../``.

    Args:
        path: of the file.
        corpus_folder: where the tables go; None where there is no such folder.
    """
    if corpus_folder is not None and (inside := _inside(path, corpus_folder)):
        return path_to_text(inside)
    text = Path(path).as_posix()
    return path_to_text(text if text.startswith(("/", "../")) else f"./{text}")


def shown_path(path: str | Path, corpus_folder: str | Path | None) -> str:
    """Return the text that a corpus's reports name a file by: as it is seen from the working directory."""
    return resolve(corpus_folder or "", stored_path(path, corpus_folder))


def _inside(path: str | Path, folder: str | Path) -> str:
    """Return the path relative to the folder, or nothing where it is not inside."""
    relative = os.path.relpath(os.path.abspath(path), os.path.abspath(folder))
    return "" if relative == ".." or relative.startswith("../") else relative


def resolve(corpus_folder: str | Path, text: str) -> str:
    """Return the text of a path to open, see `path_from_text`, for the text that a table of a corpus has.

    Args:
        corpus_folder: with the table.
        text: from `stored_path`; the empty text, no file, stays empty.
    """
    if not text or text.startswith("/"):
        return text
    if text.startswith(_FROM_WORKING_DIRECTORY):
        return text.removeprefix("./")
    return (Path(path_to_text(corpus_folder)) / text).as_posix()


def resolved(corpus_folder: str | Path, texts: Iterable[str]) -> list[str]:
    """Resolve a column of paths, see `resolve`.

    Raises:
        CorpusError: files of a relative origin are looked for where there is no such folder.
    """
    texts = list(texts)
    near = [text for text in texts if text.startswith(_FROM_WORKING_DIRECTORY)]
    if near and not (common := path_from_text(os.path.commonpath(near))).exists():
        expected = f"the audio of {corpus_folder}, seen from {Path.cwd()}"
        raise CorpusError(common, expected=expected, found="no such file or folder", remedy=MOVED)
    return [resolve(corpus_folder, text) for text in texts]


def check_folder(root: str | Path, content: str) -> Path:
    """Return an origin that is a folder.

    Args:
        root: the origin.
        content: what should be in it, for the message.

    Raises:
        CorpusError: it is missing or no folder.
    """
    root = Path(root)
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        where = f" (looked for in {Path.cwd()})" if not root.is_absolute() else ""
        remedy = "Give an absolute path, or a path relative to the repository." if where else ""
        raise CorpusError(root, expected=f"a folder with {content}{where}", found=found, remedy=remedy)
    return root
