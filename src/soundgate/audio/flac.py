"""What a FLAC stream declares, held against its last frame."""

from __future__ import annotations

import struct
from typing import NamedTuple

from soundgate.audio.containers import ContainerError, Declared
from soundgate.audio.tails import is_padding

_BLOCK_SIZES = {1: 192, **{code: 576 << code - 2 for code in range(2, 6)}, **{c: 256 << c - 8 for c in range(8, 16)}}
_BITS = {1: 8, 2: 12, 4: 16, 5: 20, 6: 24, 7: 32}


class _StreamInfo(NamedTuple):
    """Fields of the STREAMINFO block, and where the frames may begin."""

    position: int
    block: int
    channels: int
    bits: int
    total: int
    md5: bytes


class _Frame(NamedTuple):
    """A frame by its header: first sample, samples, and the bytes [start, end) it lies in; end 0: it is not whole."""

    sample: int
    samples: int
    start: int
    end: int


def read_flac(content: bytes) -> tuple[Declared, bytes]:
    """Return what a FLAC stream declares, and its bytes up to the last whole frame.

    The stream's total is blanked in them, so that the decoder goes on to its true end.

    Raises:
        ContainerError: there is no STREAMINFO, or more than the last frame is missing.
    """
    info = _stream_info(content)
    last = _last_frame(content, info)
    total, md5, note = info.total or None, info.md5 if any(info.md5) else None, ""
    if last and last.end:
        content = content[: last.end]
    elif last and last.sample:
        content, there = content[: last.start], last.sample
        if total and total - there > max(info.block, last.samples):
            raise ContainerError(f"truncated: FLAC declares {total} sample frames, {there} are there")
        note = f"the last FLAC frame is cut: left out, {there} sample frames remain"
        total, md5 = there, None
    if not total and not md5:
        note = note or "no length in the FLAC header: read to the end"
    return Declared("FLAC", total, md5=md5, bits=info.bits, note=note), _blanked(content)


def _blanked(content: bytes) -> bytes:
    position = _stream_info(content).position + 10
    fields = struct.unpack_from(">Q", content, position)[0]
    return content[:position] + struct.pack(">Q", fields >> 36 << 36) + content[position + 8 :]


def _stream_info(content: bytes) -> _StreamInfo:
    """Find STREAMINFO among the metadata blocks.

    Source: RFC 9639, section 8.2 (fields of the STREAMINFO block).
    """
    position = 4
    while position + 4 <= len(content):
        kind, size = content[position] & 0x7F, int.from_bytes(content[position + 1 : position + 4], "big")
        body = position + 4
        if kind == 0 and size >= 34:
            block = struct.unpack_from(">H", content, body + 2)[0]
            fields = struct.unpack_from(">Q", content, body + 10)[0]
            channels, bits, total = (fields >> 41 & 7) + 1, (fields >> 36 & 31) + 1, fields & (1 << 36) - 1
            return _StreamInfo(body, block, channels, bits, total, content[body + 18 : body + 34])
        if content[position] & 0x80:
            break
        position = body + size
    raise ContainerError("unreadable: FLAC without a STREAMINFO block")


def _last_frame(content: bytes, info: _StreamInfo) -> _Frame | None:
    """Find the last frame by its header's checksum, from the back; None where no header is sound."""
    position = len(content)
    while (position := content.rfind(b"\xff", info.position, position)) >= 0:
        if content[position + 1 : position + 2] in (b"\xf8", b"\xf9"):
            frame = _frame_at(content, position, info)
            if frame:
                return frame
    return None


def _frame_at(content: bytes, start: int, info: _StreamInfo) -> _Frame | None:
    """Read a frame header that fits the stream.

    Source: RFC 9639, section 9.1 (frame header) and 9.3 (its footer's CRC-16).
    """
    head = content[start : start + 16]
    if len(head) < 16:
        head = head.ljust(16, b"\0")
    size_code, channels, bits = head[2] >> 4, head[3] >> 4, _BITS.get(head[3] >> 1 & 7, info.bits)
    if channels > 10 or (channels + 1 if channels < 8 else 2) != info.channels or bits != info.bits or head[3] & 1:
        return None
    extra = next((n for n in range(8) if not head[4] << n & 0x80), 8)
    if extra in (1, 8):
        return None
    number, position = head[4] & (0x7F >> extra), 5
    for byte in head[5 : 4 + max(extra, 1)]:
        number, position = number << 6 | byte & 0x3F, position + 1
    samples = _BLOCK_SIZES.get(size_code, 0)
    if size_code in (6, 7):
        width = size_code - 5
        samples = int.from_bytes(head[position : position + width], "big") + 1
        position += width
    position += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if not samples or position >= len(content) - start or _crc(head[:position], 8, 0x07) != head[position]:
        return None
    sample = number if head[1] & 1 else number * info.block
    return _Frame(sample, samples, start, _frame_end(content, start + position + 1, start))


def _frame_end(content: bytes, first: int, start: int) -> int:
    """Return where a frame's checksum comes out and only padding follows, 0 if nowhere."""
    register = 0
    for position in range(start, len(content)):
        register = (register << 8 & 0xFF00) ^ _CRC16[register >> 8 ^ content[position]]
        if register == 0 and position > first and is_padding(tail := content[position + 1 :]):
            # The register is zero before a checksum's last zeros, too.
            zeros = len(tail) - len(tail.lstrip(b"\0"))
            return position + 1 + (zeros if zeros <= 2 else 0)
    return 0


def _crc(data: bytes, width: int, polynomial: int) -> int:
    """Return a checksum, most significant bit first, start 0."""
    register, top = 0, 1 << width - 1
    for byte in data:
        register ^= byte << width - 8
        for _ in range(8):
            register = (register << 1 ^ (polynomial if register & top else 0)) & (top << 1) - 1
    return register


_CRC16 = [_crc(bytes([byte]), 16, 0x8005) for byte in range(256)]
