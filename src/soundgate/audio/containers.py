"""What a sample container (WAV, RF64, W64, AIFF, CAF, AU, SPHERE) declares, held against the bytes that are there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from soundgate.audio import sphere

UNKNOWN_32 = 0xFFFFFFFF
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_WAVE = bytes.fromhex("77617665f3acd3118cd100c04f8edb8a")
_W64_FMT = bytes.fromhex("666d7420f3acd3118cd100c04f8edb8a")
_W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
_WAV_SAMPLE_TAGS = {1, 3, 6, 7}  # PCM, float, A-law, mu-law: one fixed number of bytes a frame
_AIFF_CODED = {b"ima4", b"GSM ", b"G722", b"QDM2"}
_AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}


class ContainerError(ValueError):
    """A container whose header and bytes disagree; its text is the reason reports give."""


@dataclass(frozen=True)
class Declared:
    """What a file says about its own audio.

    Args:
        container: the format's name.
        frames: sample frames a channel; None where the format leaves them open.
        spare_frames: frames by which decoding may exceed ``frames`` because coded blocks are filled up.
        shortfall: frames by which decoding may fall short (an MP3 encoder's delay and padding).
        md5: MD5 of the decoded integers, FLAC only.
        bits: bits a sample, where ``md5`` is given.
        counting_frame: put before the content where the decoder's guess of the length falls short, MP3 only.
    """

    container: str
    frames: int | None
    spare_frames: int = 0
    shortfall: int = 0
    md5: bytes | None = None
    bits: int = 0
    counting_frame: bytes = b""


def read_container(content: bytes) -> Declared | None:
    """Return what a sample container declares.

    Args:
        content: the whole file.

    Returns:
        The declaration, or None where the content is none of WAV, RF64, W64, AIFF, CAF, AU, NIST SPHERE.

    Raises:
        ContainerError: the header is cut, malformed or promises more bytes than there are.
    """
    if content[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and content[8:12] == b"WAVE":
        reader = _read_wav
    elif content[:16] == _W64_RIFF and content[24:40] == _W64_WAVE:
        reader = _read_w64
    elif content[:4] == b"FORM" and content[8:12] in (b"AIFF", b"AIFC"):
        reader = _read_aiff
    elif content[:4] == b"caff":
        reader = _read_caf
    elif content[:4] in (b".snd", b"dns."):
        reader = _read_au
    elif content.startswith(sphere.MAGIC):
        reader = _read_sphere
    else:
        return None
    try:
        return reader(content)
    except struct.error as error:
        raise ContainerError(f"truncated: the file ends inside its header ({len(content)} bytes)") from error


def _samples(container: str, size: int, available: int, frame_bytes: int) -> Declared:
    """Check declared against available bytes and turn them into frames."""
    if size > available:
        promise = f"{container} declares {size} bytes of samples"
        raise ContainerError(f"truncated: {promise}, {available} are there")
    if frame_bytes < 1:
        raise ContainerError(f"absurd header: {frame_bytes} bytes a frame")
    return Declared(container, size // frame_bytes)


def _chunks(content: bytes, start: int, header: str, pad: int = 2) -> Iterator[tuple[bytes, int, int]]:
    """Yield (id, size, body offset) of IFF-like chunks until the content ends."""
    position, length = start, struct.calcsize(header)
    while position + length <= len(content):
        name, size = struct.unpack_from(header, content, position)
        yield name, size, position + length
        if size < 0:
            return
        position += length + size + (-size) % pad


def _read_wav(content: bytes) -> Declared:
    order = ">" if content[:4] == b"RIFX" else "<"
    name = "RF64" if content[:4] in (b"RF64", b"BW64") else "WAV"
    fmt, size_64, fact = None, None, None
    for chunk, size, body in _chunks(content, 12, order + "4sI"):
        if chunk == b"ds64":
            size_64 = struct.unpack_from("<Q", content, body + 8)[0]
        elif chunk == b"fmt ":
            fmt = _wav_format(content, body, size, order)
        elif chunk == b"fact" and size >= 4:
            fact = struct.unpack_from(order + "I", content, body)[0]
        elif chunk == b"data":
            if fmt is None:
                raise ContainerError("unreadable: WAV data stand before their 'fmt ' chunk")
            available = len(content) - body
            if size == UNKNOWN_32:
                size = available if size_64 is None else size_64
            return _wav_declared(name, size, available, fmt, fact)
    raise ContainerError("truncated: WAV header without a 'data' chunk")


def _wav_format(content: bytes, body: int, size: int, order: str) -> tuple[int, int, int, int]:
    """Return (tag, channels, block bytes, bits) of a 'fmt ' chunk, extensible headers resolved."""
    tag, channels, _, _, block, bits = struct.unpack_from(order + "HHIIHH", content, body)
    if tag == 0xFFFE and size >= 40:
        tag = struct.unpack_from(order + "H", content, body + 24)[0]
    return tag, channels, block, bits


def _wav_declared(name: str, size: int, available: int, fmt: tuple[int, int, int, int], fact: int | None) -> Declared:
    tag, channels, block, bits = fmt
    if tag in _WAV_SAMPLE_TAGS:
        if block != channels * -(-bits // 8):
            raise ContainerError(f"absurd header: {block} bytes a frame, {channels} channels of {bits} bits")
        return _samples(name, size, available, block)
    whole = _samples(name, size, available, 1)
    if fact is None:
        return Declared(name, None)
    # Coded blocks are decoded whole, and libsndfile takes a chunk's pad byte for one more block.
    return Declared(name, fact, spare_frames=2 * (fact * max(block, 1) // max(whole.frames, 1) + 1))


def _read_w64(content: bytes) -> Declared:
    frame_bytes = None
    position = 40
    while position + 24 <= len(content):
        guid, size = struct.unpack_from("<16sQ", content, position)
        body = position + 24
        if guid == _W64_FMT:
            frame_bytes = struct.unpack_from("<HHIIHH", content, body)[4]
        elif guid == _W64_DATA:
            return _samples("W64", size - 24, len(content) - body, frame_bytes or 0)
        if size < 24:
            raise ContainerError(f"absurd header: W64 chunk of {size} bytes")
        position += size + (-size) % 8
    raise ContainerError("truncated: W64 header without a data chunk")


def _read_aiff(content: bytes) -> Declared:
    comm, available = None, None
    for chunk, size, body in _chunks(content, 12, ">4sI"):
        if chunk == b"COMM":
            comm = struct.unpack_from(">hIh", content, body)
            coded = content[8:12] == b"AIFC" and content[body + 18 : body + 22] in _AIFF_CODED
        elif chunk == b"SSND":
            offset = struct.unpack_from(">I", content, body)[0]
            available = min(size, len(content) - body) - 8 - offset
            if size > len(content) - body:
                raise ContainerError(f"truncated: AIFF declares {size} bytes of sound, {len(content) - body} are there")
    if comm is None:
        raise ContainerError("truncated: AIFF header without a COMM chunk")
    if available is None:
        raise ContainerError("empty: AIFF without a sound chunk (SSND)")
    channels, frames, bits = comm
    if coded:
        return Declared("AIFF", None)
    _samples("AIFF", frames * channels * -(-bits // 8) if content[8:12] == b"AIFF" else 0, available, 1)
    return Declared("AIFF", frames)


def _read_caf(content: bytes) -> Declared:
    frame_bytes = 0
    for chunk, size, body in _chunks(content, 8, ">4sq", pad=1):
        if chunk == b"desc":
            packet_bytes, packet_frames = struct.unpack_from(">II", content, body + 16)
            frame_bytes = packet_bytes if packet_frames == 1 else 0
        elif chunk == b"data":
            available = len(content) - body - 4
            size = available if size == -1 else size - 4
            if frame_bytes == 0:
                _samples("CAF", size, available, 1)
                return Declared("CAF", None)
            return _samples("CAF", size, available, frame_bytes)
    raise ContainerError("truncated: CAF header without a data chunk")


def _read_au(content: bytes) -> Declared:
    order = ">" if content[:4] == b".snd" else "<"
    offset, size, encoding, _, channels = struct.unpack_from(order + "IIIII", content, 4)
    available = len(content) - offset
    size = available if size == UNKNOWN_32 else size
    if encoding not in _AU_BYTES:
        _samples("AU", size, available, 1)
        return Declared("AU", None)
    return _samples("AU", size, available, channels * _AU_BYTES[encoding])


def _read_sphere(content: bytes) -> Declared:
    try:
        size, frame_bytes = sphere.sphere_size(content)
        return _samples("NIST SPHERE", size, len(content) - sphere.header_bytes(content), frame_bytes)
    except ContainerError:
        raise
    except ValueError as error:
        raise ContainerError(str(error)) from error
