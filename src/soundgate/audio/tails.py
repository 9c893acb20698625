"""What stands behind the audio of a file: padding, tags, chunks."""

from __future__ import annotations

import struct

_MARKS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3")


def tag_bytes(content: bytes, position: int) -> int:
    """Return the length of the tag (ID3v1, ID3v2, APEv2, Lyrics3) at a position, 0 where there is none.

    A tag that the end of the file cuts, or that does not say its length, is as long as what is left.
    """
    head = content[position : position + 16]
    if head.startswith(b"TAG"):
        return 128
    if head.startswith(b"LYRICSBEGIN"):
        end = content.find(b"LYRICS200", position)
        return (end if end >= 0 else len(content)) + 9 - position
    if head.startswith(b"APETAGEX") and len(head) == 16:
        return 32 + struct.unpack_from("<I", head, 12)[0]
    if head.startswith(b"ID3") and len(head) >= 10:
        size = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(head[6:10])))
        return 10 + size + (10 if head[5] & 0x10 else 0)
    return len(content) - position if head.startswith(_MARKS) else 0


def is_padding(tail: bytes) -> bool:
    """Whether bytes behind the audio are none themselves: nothing, zeros, or a tag after zeros."""
    return tail.lstrip(b"\0").startswith(_MARKS) or not tail.strip(b"\0")


def is_chunk(content: bytes, position: int) -> bool:
    """Whether an IFF-like chunk that fits, or one that is often last in a file, begins at a position."""
    name, size = content[position : position + 4], content[position + 4 : position + 8]
    if len(size) < 4 or not all(32 <= byte < 127 for byte in name):
        return False
    fits = min(int.from_bytes(size, "little"), int.from_bytes(size, "big")) <= len(content) - position - 8
    return fits or name.lower() in (b"list", b"info", b"id3 ", b"bext", b"cue ", b"smpl", b"_pmx", b"ixml", b"junk")
