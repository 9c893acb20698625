"""What a folder of the user's holds, as one small file that a pipeline can depend on in its place.

DVC fails on folders with links that lead nowhere or names that are not UTF-8; a listing has a line for them too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

from soundgate.corpora.walking import Found, walk
from soundgate.runtime.console import track
from soundgate.runtime.files import atomic_path, sha256_of, write_text
from soundgate.runtime.paths import path_to_text

NO_ORIGIN = '{"origin": null}\n'


class HashCache:
    """Hashes of files that did not change, by path, size, time of change and inode.

    Every hash is appended to a file at once, so that a killed run goes on; what is no longer true is dropped by
    `close`.

    Args:
        path: the file, lines of JSON.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, list] = {}
        self._used: dict[str, list] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            try:
                name, *rest = json.loads(line)
            except ValueError:  # The last line of a killed run.
                continue
            self._known[name] = rest
        self._file: IO[str] = path.open("a", encoding="utf-8")
        self._file.write("\n" if path.stat().st_size else "")

    def sha256(self, path: Path, found: Found) -> str:
        """Return the SHA-256 of a file's content.

        Raises:
            OSError: it cannot be read.
        """
        name, status = path_to_text(path.absolute()), found.status
        facts = [status.st_size, status.st_mtime_ns, status.st_ino]
        known = self._known.get(name)
        if known is None or known[:3] != facts:
            known = [*facts, sha256_of(path)]
            self._file.write(json.dumps([name, *known]) + "\n")
            self._file.flush()
        self._used[name] = known
        return known[3]

    def close(self) -> None:
        """Keep the hashes asked for, and no others."""
        self._file.close()
        write_text(self.path, "".join(json.dumps([name, *known]) + "\n" for name, known in self._used.items()))


def write_listing(origin: str | None, path: str | Path, cache: Path) -> None:
    """Write the listing of a folder: JSON, the same bytes for the same content.

    Args:
        origin: the folder; None where a corpus has no folder of the user's.
        path: the listing: ``origin`` as given; ``missing`` where there is no folder; and ``files``, one line each,
            sorted: ``path`` in the folder (as text, see `path_to_text`), and ``size`` in bytes with ``sha256``, or
            ``error``.
        cache: the file of a `HashCache`.
    """
    if origin is None:
        return write_text(path, NO_ORIGIN)
    head = json.dumps(origin)
    root = Path(origin)
    if not root.is_dir():
        missing = json.dumps("a file" if root.exists() else "nothing")
        return write_text(path, f'{{"origin": {head}, "missing": {missing}}}\n')
    hashes = HashCache(cache)
    found = sorted(walk(root))
    lines = [json.dumps(_line(root, one, hashes)) for one in track(found, f"Hashing {path_to_text(origin)}")]
    with atomic_path(path) as temporary:
        temporary.write_text(f'{{"origin": {head}, "files": [\n' + ",\n".join(lines) + "\n]}\n", encoding="utf-8")
    hashes.close()
    return None


def _line(root: Path, found: Found, hashes: HashCache) -> dict:
    line = {"path": path_to_text(found.path.as_posix())}
    if found.status is None:
        return line | {"error": found.problem}
    try:
        return line | {"size": found.status.st_size, "sha256": hashes.sha256(root / found.path, found)}
    except OSError as error:
        return line | {"error": f"unreadable: {error.strerror}"}
