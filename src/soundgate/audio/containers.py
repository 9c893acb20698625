"""What a sample container (WAV, RF64, W64, AIFF, CAF, AU, SPHERE) declares, held against the bytes that are there."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from soundgate.audio import sphere
from soundgate.audio.foreign import foreign_wav
from soundgate.audio.tails import is_chunk, is_padding

UNKNOWN_32 = 0xFFFFFFFF
# Programs that write to a pipe put in 0, the largest number, or one a header below 2 GiB.
_OPEN_FROM = 2**31 - 2**16
# A length that counts the header too.
_HEADER_BYTES = 64
_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_WAVE = bytes.fromhex("77617665f3acd3118cd100c04f8edb8a")
_W64_FMT = bytes.fromhex("666d7420f3acd3118cd100c04f8edb8a")
_W64_DATA = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a")
_WAV_SAMPLE_TAGS = {1, 3, 6, 7}  # PCM, float, A-law, mu-law: one fixed number of bytes a frame
# AIFC's sample formats of one fixed number of bytes a frame, and those of a byte a sample whatever their header says.
_AIFF_LINEAR = {
    b"NONE",
    b"raw ",
    b"twos",
    b"sowt",
    b"in24",
    b"in32",
    b"42ni",
    b"23ni",
    b"fl32",
    b"FL32",
    b"fl64",
    b"FL64",
}
_AIFF_LAWS = {b"ulaw", b"ULAW", b"alaw", b"ALAW"}
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
        note: what is wrong with the length the file states, and what is read instead; empty where it is right.
    """

    container: str
    frames: int | None
    spare_frames: int = 0
    shortfall: int = 0
    md5: bytes | None = None
    bits: int = 0
    counting_frame: bytes = b""
    note: str = ""


@dataclass(frozen=True)
class _Extent:
    """The bytes of samples that a file has: how many from where, and what is to be said of it."""

    body: int
    size: int
    note: str

    def frames(self, frame_bytes: int) -> int:
        """Return the whole frames."""
        if frame_bytes < 1:
            raise ContainerError(f"absurd header: {frame_bytes} bytes a frame")
        return self.size // frame_bytes


def read_container(content: bytes) -> tuple[Declared, bytes] | None:
    """Return what a sample container declares, and the bytes to decode.

    A length that was never filled in (a pipe, a recorder that was cut off: 0, or 2 GiB and more), one that counts the
    header too, one that ends inside a frame and one that says less than there is are put right by what is there; then
    the bytes to decode have another header, and the declaration a note.

    Args:
        content: the whole file.

    Returns:
        The declaration and the content, or None where the content is none of WAV, RF64, W64, AIFF, CAF, AU and NIST
        SPHERE.

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


def _extent(container: str, size: int | None, content: bytes, body: int, frame_bytes: int) -> _Extent:
    """Hold a declared number of bytes (None: open) against those from ``body`` on."""
    available = len(content) - body
    behind = body + (size or 0)
    if size == available or (size == 0 and any(is_chunk(content, body + pad) for pad in (0, 1))):
        return _Extent(body, size, "")
    if size is None or size == 0 or (size >= _OPEN_FROM and size > available):
        return _Extent(body, available, f"no length in the {container} header: read to the end" if available else "")
    promise = f"{container} declares {size} bytes of samples, {available} are there"
    if size > available:
        if size - available > max(_HEADER_BYTES, frame_bytes - 1) or available < frame_bytes:
            raise ContainerError(f"truncated: {promise}")
        return _Extent(body, available, f"{promise}: read to the end")
    # Chunks begin at multiples of 2 or 8 bytes, or where a careless writer put them.
    chunk = any(is_chunk(content, behind + pad) for pad in range(8))
    if chunk or available - size <= max(_HEADER_BYTES, frame_bytes - 1) or is_padding(content[behind:]):
        return _Extent(body, size, "")
    return _Extent(body, available, f"{promise}: read to the end")


def _patched(content: bytes, fields: dict[int, bytes]) -> bytes:
    """Return the content with bytes exchanged at some positions."""
    parts, done = [], 0
    for position, field in sorted(fields.items()):
        parts += [content[done:position], field]
        done = position + len(field)
    return b"".join([*parts, content[done:]])


def _chunks(content: bytes, start: int, header: str, pad: int = 2) -> Iterator[tuple[bytes, int, int]]:
    """Yield (id, size, body offset) of IFF-like chunks until the content ends; odd ones may lack their pad byte."""
    position, length = start, struct.calcsize(header)
    while position + length <= len(content):
        name, size = struct.unpack_from(header, content, position)
        yield name, size, position + length
        if size < 0:
            return
        position += length + size
        if size % pad and not (is_chunk(content, position) and not is_chunk(content, position + 1)):
            position += pad - size % pad


def _read_wav(content: bytes) -> tuple[Declared, bytes]:
    order = ">" if content[:4] == b"RIFX" else "<"
    name = "RF64" if content[:4] in (b"RF64", b"BW64") else "WAV"
    if content[:4] == b"BW64":  # The same under a name that libsndfile does not know.
        content = b"RF64" + content[4:]
    fmt, size_64, fact, head, others = None, None, None, b"", False
    for chunk, size, body in _chunks(content, 12, order + "4sI"):
        if chunk == b"ds64":
            size_64 = struct.unpack_from("<Q", content, body + 8)[0]
        elif chunk == b"fmt ":
            fmt, head = _wav_format(content, body, size, order), content[body - 8 : body + size]
        elif chunk == b"fact" and size >= 4:
            fact = struct.unpack_from(order + "I", content, body)[0]
        elif chunk == b"data":
            if fmt is None:
                raise ContainerError("unreadable: WAV data stand before their 'fmt ' chunk")
            if size == UNKNOWN_32 or (size == 0 and size_64):
                size = size_64 or None
            declared, extent = _wav_declared(name, content, (body, size), fmt, fact)
            if declared.note or others:
                # libsndfile loses its way in malformed chunks before the samples.
                content = _new_wav(content, extent, declared.frames if fact else None, order, head)
            return declared, content
        else:
            others = True
    raise ContainerError("truncated: WAV header without a 'data' chunk")


def _wav_format(content: bytes, body: int, size: int, order: str) -> tuple[int, int, int, int]:
    """Return (tag, channels, block bytes, bits) of a 'fmt ' chunk, extensible headers resolved."""
    tag, channels, _, _, block, bits = struct.unpack_from(order + "HHIIHH", content, body)
    if tag == 0xFFFE and size >= 40:
        tag = struct.unpack_from(order + "H", content, body + 24)[0]
    return tag, channels, block, bits


def _wav_declared(
    name: str, content: bytes, data: tuple[int, int | None], fmt: tuple[int, int, int, int], fact: int | None
) -> tuple[Declared, _Extent]:
    """Return the declaration and where the samples lie; the data chunk is given by its body and size."""
    (body, size), (tag, channels, block, bits) = data, fmt
    if reason := foreign_wav(tag):
        raise ContainerError(f"unreadable: {reason}")
    if tag in _WAV_SAMPLE_TAGS:
        if block != channels * -(-bits // 8):
            raise ContainerError(f"absurd header: {block} bytes a frame, {channels} channels of {bits} bits")
        extent = _extent(name, size, content, body, block)
        frames = extent.frames(block)
        return Declared(name, frames, note=extent.note), _Extent(body, frames * block, extent.note)
    extent = _extent(name, size, content, body, 1)
    if fact is None or (extent.note and not fact):
        return Declared(name, None, note=extent.note), extent
    # Coded blocks are decoded whole, and libsndfile takes a chunk's pad byte for one more block.
    spare = 2 * (fact * max(block, 1) // max(extent.size, 1) + 1)
    return Declared(name, fact, spare_frames=spare, note=extent.note), extent


def _new_wav(content: bytes, extent: _Extent, fact: int | None, order: str, fmt: bytes) -> bytes:
    """Return a WAV of nothing but a 'fmt ' chunk (given with its head), 'fact' and the samples."""
    parts = [b"WAVE", fmt, bytes(len(fmt) % 2)]
    if fact is not None:
        parts.append(struct.pack(order + "4sII", b"fact", 4, fact))
    parts.append(struct.pack(order + "4sI", b"data", extent.size))
    parts.append(content[extent.body : extent.body + extent.size])
    total = min(sum(map(len, parts)), UNKNOWN_32)
    return b"".join([struct.pack(order + "4sI", b"RIFX" if order == ">" else b"RIFF", total), *parts])


def _read_w64(content: bytes) -> tuple[Declared, bytes]:
    frame_bytes = None
    position = 40
    while position + 24 <= len(content):
        guid, size = struct.unpack_from("<16sQ", content, position)
        body = position + 24
        if guid == _W64_FMT:
            frame_bytes = struct.unpack_from("<HHIIHH", content, body)[4]
        elif guid == _W64_DATA:
            extent = _extent("W64", max(size - 24, 0), content, body, frame_bytes or 0)
            declared = Declared("W64", extent.frames(frame_bytes or 0), note=extent.note)
            if extent.note:
                fields = {16: struct.pack("<Q", body + extent.size), body - 8: struct.pack("<Q", 24 + extent.size)}
                content = _patched(content, fields)
            return declared, content
        if size < 24:
            raise ContainerError(f"absurd header: W64 chunk of {size} bytes")
        position += size + (-size) % 8
    raise ContainerError("truncated: W64 header without a data chunk")


def _read_aiff(content: bytes) -> tuple[Declared, bytes]:
    comm, sound, kept, compression = None, None, [], b"NONE"
    for chunk, size, body in _chunks(content, 12, ">4sI"):
        if chunk in (b"COMM", b"FVER"):
            kept.append((chunk, content[body : body + size]))
        if chunk == b"COMM":
            comm = struct.unpack_from(">hIh", content, body)
            compression = content[body + 18 : body + 22] if content[8:12] == b"AIFC" else compression
        elif chunk == b"SSND" and sound is None:
            sound = body + 8 + struct.unpack_from(">I", content, body)[0], body + size
    if comm is None:
        raise ContainerError("truncated: AIFF header without a COMM chunk")
    if sound is None:
        raise ContainerError("empty: AIFF without a sound chunk (SSND)")
    (channels, frames, bits), (first, end) = comm, sound
    frame_bytes = channels * (1 if compression in _AIFF_LAWS else -(-bits // 8))
    linear = compression in _AIFF_LINEAR | _AIFF_LAWS and frame_bytes > 0
    extent = _extent("AIFF", max(end - first, 0), content, first, frame_bytes if linear else 1)
    if not linear:
        return Declared("AIFF", None, note=extent.note), content
    if not extent.note and frames == 0 and extent.size:
        extent = _extent("AIFF", None, content[:end], first, frame_bytes)
    elif not extent.note and frames * frame_bytes > extent.size:
        extent = _extent("AIFF", frames * frame_bytes, content[:end], first, frame_bytes)
    frames = extent.frames(frame_bytes) if extent.note else frames
    if extent.note or first % 2:
        content = _new_aiff(content, extent, frames, kept)
    return Declared("AIFF", frames, note=extent.note), content


def _new_aiff(content: bytes, extent: _Extent, frames: int, chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Return an AIFF of nothing but its head, with another number of frames, and the samples."""
    parts = [content[8:12]]
    for name, value in chunks:
        value = _patched(value, {2: struct.pack(">I", frames)}) if name == b"COMM" else value
        parts += [name, struct.pack(">I", len(value)), value, bytes(len(value) % 2)]
    parts += [b"SSND", struct.pack(">III", extent.size + 8, 0, 0)]
    parts.append(content[extent.body : extent.body + extent.size])
    return b"".join([b"FORM", struct.pack(">I", min(sum(map(len, parts)), UNKNOWN_32)), *parts])


def _read_caf(content: bytes) -> tuple[Declared, bytes]:
    frame_bytes = 0
    for chunk, size, body in _chunks(content, 8, ">4sq", pad=1):
        if chunk == b"desc":
            packet_bytes, packet_frames = struct.unpack_from(">II", content, body + 16)
            frame_bytes = packet_bytes if packet_frames == 1 else 0
        elif chunk == b"data":
            size = None if size == -1 else max(size - 4, 0)
            extent = _extent("CAF", size, content, body + 4, frame_bytes or 1)
            if extent.note:
                content = _patched(content, {body - 8: struct.pack(">q", extent.size + 4)})
            return Declared("CAF", extent.frames(frame_bytes) if frame_bytes else None, note=extent.note), content
    raise ContainerError("truncated: CAF header without a data chunk")


def _read_au(content: bytes) -> tuple[Declared, bytes]:
    order = ">" if content[:4] == b".snd" else "<"
    offset, size, encoding, _, channels = struct.unpack_from(order + "IIIII", content, 4)
    frame_bytes = channels * _AU_BYTES.get(encoding, 0)
    if encoding in _AU_BYTES and frame_bytes < 1:
        raise ContainerError(f"absurd header: {frame_bytes} bytes a frame")
    extent = _extent("AU", None if size == UNKNOWN_32 else size, content, offset, frame_bytes or 1)
    if extent.note:
        content = _patched(content, {8: struct.pack(order + "I", min(extent.size, UNKNOWN_32))})
    return Declared("AU", extent.frames(frame_bytes) if frame_bytes else None, note=extent.note), content


def _read_sphere(content: bytes) -> tuple[Declared, bytes]:
    try:
        size, frame_bytes = sphere.sphere_size(content)
        body = sphere.header_bytes(content)
    except ValueError as error:
        raise ContainerError(str(error)) from error
    extent = _extent("NIST SPHERE", size, content, body, frame_bytes)
    frames = extent.frames(frame_bytes)
    # libsndfile reads to the end of the file, whatever the header counts.
    return Declared("NIST SPHERE", frames, note=extent.note), content[: body + frames * frame_bytes]
