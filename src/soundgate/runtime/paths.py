"""Paths as text: in tables, logs and messages any path is printable UTF-8, and the file can be opened from it."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

# Characters that no terminal and no table shows as they are: control characters, stray surrogates, line breaks.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_ESCAPE = re.compile(rb"\\(\\|x[0-9a-f]{2})")


def path_to_text(path: str | Path) -> str:
    r"""Return a path as printable text: ``\xNN`` for each byte that is not UTF-8 or not printable, ``\\`` for ``\``.

    Every path has one text and every text one path, see `path_from_text`; of most paths it is the path itself.
    """
    return printable(str(path).replace("\\", "\\\\"))


def path_from_text(text: str | Path) -> Path:
    """Return the path that `path_to_text` made a text of."""

    def byte(match: re.Match[bytes]) -> bytes:
        return b"\\" if match[1] == b"\\" else bytes.fromhex(match[1][1:].decode())

    return Path(_ESCAPE.sub(byte, str(text).encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape"))


def printable(text: str) -> str:
    r"""Return text with ``\xNN`` for each byte of it that is not UTF-8 or not printable; for messages and labels."""
    return "".join(_escaped(c) if unicodedata.category(c) in _UNPRINTABLE else c for c in text)


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
