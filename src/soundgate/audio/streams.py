"""What a compressed stream (Ogg, MP3) declares, held against the frames or pages that are there."""

from __future__ import annotations

import struct
import zlib

from soundgate.audio.containers import ContainerError, Declared
from soundgate.audio.flac import read_flac
from soundgate.audio.foreign import foreign_ogg
from soundgate.audio.tails import is_padding, tag_bytes

_BIT_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_KBPS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
# With a Xing/LAME header a decoder drops the encoder's delay (576 to 2,257 samples) and the last frame's
# padding, without one at most its own delay.
_MP3_DELAY_AND_PADDING = 4 * 1152
_MP3_DECODER_DELAY = 529
# So many of the frames a header promises may be missing at the end (80 ms).
_MP3_LOST_FRAMES = 3
# Bytes of a damaged frame that is passed over; more are a hole.
_MP3_LONGEST_FRAME = 1441


def without_id3(content: bytes) -> bytes:
    """Return the content behind any ID3v2 tags at its start."""
    position = 0
    while content[position : position + 3] == b"ID3" and len(content) >= position + 10:
        position += tag_bytes(content, position)
    return content[position:]


def read_stream(content: bytes) -> tuple[Declared, bytes] | None:
    """Return what a compressed stream declares, and the bytes to decode.

    Args:
        content: the whole file, without ID3 tags at its start.

    Returns:
        The declaration and the content to hand to the decoder, or None where it is none of FLAC, Ogg, MP3.
        What stands behind the last whole frame or page is not in it; where that was more than padding and tags, the
        declaration has a note.

    Raises:
        ContainerError: the stream is damaged inside, malformed, or much shorter than it says.
    """
    try:
        if content[:4] == b"fLaC":
            return read_flac(content)
        if content[:4] == b"OggS":
            return _read_ogg(content)
        return _read_mp3(content)
    except (struct.error, IndexError) as error:
        raise ContainerError("truncated: the file ends inside its header") from error


def _ogg_crc(page: bytes) -> int:
    """Return an Ogg page's checksum (polynomial 0x04C11DB7, most significant bit first, start 0).

    Source: RFC 3533, section 6. zlib's CRC-32 is the same polynomial on mirrored bits.
    """
    blank = page[:22] + bytes(4) + page[26:]
    mirrored = zlib.crc32(blank.translate(_BIT_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def _read_ogg(content: bytes) -> tuple[Declared, bytes]:
    """Check every page of a single-stream Ogg file; the last granule position is its length.

    Source: RFC 3533, section 6 (page header).
    """
    position, serial, sequence, granule, closed, head = 0, None, 0, 0, False, b""
    while position < len(content):
        page = _ogg_page(content, position)
        if page is None:
            if content.find(b"OggS", position + 1) < 0:
                break
            raise ContainerError(f"damaged: Ogg page {sequence} is missing or damaged")
        flags, at, own_serial, number = struct.unpack_from("<BqII", page, 5)
        if serial is None:
            serial, sequence, head = own_serial, number, page[27 + page[26] :]
            if reason := foreign_ogg(head):
                raise ContainerError(f"unreadable: {reason}")
        if own_serial != serial or closed:
            raise ContainerError("unreadable: several Ogg streams in one file")
        if number != sequence:
            raise ContainerError(f"damaged: Ogg page {sequence} is missing or damaged")
        granule = at if at >= 0 else granule
        closed = bool(flags & 4)
        position, sequence = position + len(page), sequence + 1
    note = _behind("the last Ogg page", content[position:])
    note = note if closed else f"the Ogg stream is cut: read to its last whole page, {sequence} in all"
    # Opus counts at 48 kHz whatever rate the decoder gives: what the pages hold is known to be whole.
    frames = None if head[:8] == b"OpusHead" else granule
    return Declared("Ogg Opus" if frames is None else "Ogg", frames, note=note), content[:position]


def _ogg_page(content: bytes, position: int) -> bytes | None:
    """Return the page at a position, None where it is cut, damaged or there is none."""
    if content[position : position + 4] != b"OggS" or len(content) < position + 27:
        return None
    segments = content[position + 26]
    lacing = content[position + 27 : position + 27 + segments]
    end = position + 27 + segments + sum(lacing)
    if len(lacing) < segments or end > len(content):
        return None
    page = content[position:end]
    return page if _ogg_crc(page) == struct.unpack_from("<I", page, 22)[0] else None


def _mp3_frame(content: bytes, position: int) -> tuple[int, int, tuple[int, int]] | None:
    """Return (bytes, sample frames, (version, rate index)) of the Layer III frame at a position, if any."""
    header = content[position : position + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer, kbps, rate = header[1] >> 3 & 3, header[1] >> 1 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer != 1 or kbps in (0, 15) or rate == 3:
        return None
    samples = 1152 if version == 3 else 576
    bits_per_second = _KBPS[1 if version == 3 else 2][kbps] * 1000
    size = samples // 8 * bits_per_second // _RATES[version][rate] + (header[2] >> 1 & 1)
    return size, samples, (version, rate)


def _first_mp3_frame(content: bytes) -> int | None:
    """Return where an MP3 begins: behind zeros, or where three like frames follow less than a frame of other bytes."""
    start = len(content) - len(content.lstrip(b"\0"))
    position = content.find(b"\xff", start, start + _MP3_LONGEST_FRAME)
    while position >= 0:
        second, frame = position, _mp3_frame(content, position)
        if frame and position > start:
            second += frame[0]
        if frame and _next_mp3_frame(content, position, frame[2]) == position:
            if _next_mp3_frame(content, second, frame[2]) == second:
                return position
        position = content.find(b"\xff", position + 1, start + _MP3_LONGEST_FRAME)
    return None


def _next_mp3_frame(content: bytes, position: int, kind: tuple[int, int]) -> int:
    """Return where the next pair of like frames starts, or the content's length."""
    while (position := content.find(b"\xff", position)) >= 0:
        frame = _mp3_frame(content, position)
        if frame and frame[2] == kind:
            follower = _mp3_frame(content, position + frame[0])
            if (follower and follower[2] == kind) or position + frame[0] == len(content):
                return position
        position += 1
    return len(content)


def _xing_frames(frame: bytes) -> int | None:
    """Return the frame count of a Xing/Info header, 0 where the header leaves it out, None without one."""
    at = max(frame.find(b"Xing", 0, 48), frame.find(b"Info", 0, 48))
    if at < 0:
        return None
    flags, count = struct.unpack_from(">II", frame, at + 4)
    return count if flags & 1 else 0


def _read_mp3(content: bytes) -> tuple[Declared, bytes] | None:
    """Count the frames of an MPEG Layer III stream; None where it is not one.

    Source: ISO/IEC 11172-3, section 2.4.1.3 (frame header).
    """
    start = _first_mp3_frame(content)
    if start is None:
        return None
    strange, content = len(content[:start].strip(b"\0")), content[start:]
    first = _mp3_frame(content, 0)
    kind, promised = first[2], _xing_frames(content[: first[0]])
    position, frames, gaps, cut = *((0, 0) if promised is None else (first[0], 0)), 0, False
    while position < len(content):
        frame = _mp3_frame(content, position)
        if frame and frame[2] == kind:
            cut = position + frame[0] > len(content)
            if cut:
                break
            position, frames = position + frame[0], frames + 1
            continue
        behind = _behind_tags(content, position)
        following = _next_mp3_frame(content, behind, kind)
        if following == len(content):
            break
        if following - behind > _MP3_LONGEST_FRAME:
            raise ContainerError(f"damaged: behind MP3 frame {frames} are {following - behind} bytes that are none")
        position, gaps = following, gaps + (following > behind)
    if promised and frames < promised - _MP3_LOST_FRAMES:
        raise ContainerError(f"truncated: MP3 header declares {promised} frames, {frames} are there")
    if frames == 0:
        raise ContainerError("truncated: the only MP3 frame is cut")
    notes = [f"{strange} bytes that are no MP3 in front, passed over"] * (strange > 0)
    notes += [f"the last MP3 frame is cut: left out, {frames} frames remain"] * cut
    notes += [f"damaged MP3 frames, passed over: {gaps} of {frames + gaps}"] * (gaps > 0)
    if not cut and (behind := _behind("the last MP3 frame", content[position:])):
        if _first_mp3_frame(content[_behind_tags(content, position) :]) is not None:
            raise ContainerError(f"unreadable: behind MP3 frame {frames} the sample rate changes")
        notes.append(behind)
    content = content[:position]
    if promised and frames > promised + _MP3_LOST_FRAMES:
        # The decoder would stop where the header says: it goes by one with the true count instead.
        notes.append(f"MP3 header declares {promised} frames, {frames} are there: read to the end")
        content, promised = content[first[0] :], None
    return _mp3_declared(content, frames, promised is not None, "; ".join(notes))


def _behind(place: str, tail: bytes) -> str:
    """Return a note on bytes that are left out at the end, empty where they are padding and tags."""
    return "" if is_padding(tail) else f"behind {place} are {len(tail)} bytes that are none: left out"


def _mp3_declared(content: bytes, frames: int, counted: bool, note: str) -> tuple[Declared, bytes]:
    samples = frames * _mp3_frame(content, 0)[1]
    if counted:
        return Declared("MP3", samples, shortfall=_MP3_DELAY_AND_PADDING, note=note), content
    counting = _counting_frame(content, frames)
    return Declared("MP3", samples, shortfall=_MP3_DECODER_DELAY, counting_frame=counting, note=note), content


def _behind_tags(content: bytes, position: int) -> int:
    """Return where the tags at a position end."""
    while size := tag_bytes(content, position):
        position += size
    return position


def _counting_frame(content: bytes, frames: int) -> bytes:
    """Return a Xing frame stating the true count, without which libsndfile guesses and may cut the end."""
    version_1, mono = content[1] >> 3 & 3 == 3, content[3] >> 6 == 3
    side_info = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}[version_1, mono]
    header = bytes([0xFF, content[1] | 1, 0x90 | content[2] & 0x0C, content[3]])
    size = _mp3_frame(header, 0)[0]
    return (header + bytes(side_info) + b"Xing" + struct.pack(">II", 1, frames)).ljust(size, b"\0")
