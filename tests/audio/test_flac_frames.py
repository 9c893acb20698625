"""FLAC frame headers written by hand after RFC 9639, and what streams of soundfile's declare."""

import struct

import numpy as np
import pytest

from soundgate.audio.containers import ContainerError, Declared
from soundgate.audio.flac import _frame_at, _last_frame, _stream_info, _StreamInfo, read_flac
from tests.audio.test_io import RATE, encoded, sine

BLOCK = 4_096


def remainder(data: bytes, width: int, polynomial: int) -> int:
    """Return the remainder of data as a polynomial over GF(2), shifted by ``width``."""
    value, divisor = int.from_bytes(data, "big") << width, polynomial | 1 << width
    while value.bit_length() > width:
        value ^= divisor << value.bit_length() - width - 1
    return value


def coded(number: int) -> bytes:
    """Return a number in UTF-8's coding, extended to 36 bits."""
    if number < 0x80:
        return bytes([number])
    more = next(n for n in range(1, 7) if number < 1 << 6 * n + (6 - n))
    head = (0xFF << 7 - more) & 0xFF | number >> 6 * more
    return bytes([head, *(0x80 | number >> 6 * i & 0x3F for i in reversed(range(more)))])


def frame(number=5, size=12, rate=9, channels=1, bits=4, variable=0, extra=b"", body=b"\x5a" * 30):
    """Return a frame: its header with its CRC-8, something that is no audio, and its CRC-16."""
    head = bytes([0xFF, 0xF8 | variable, size << 4 | rate, channels << 4 | bits << 1]) + coded(number) + extra
    whole = head + bytes([remainder(head, 8, 0x07)]) + body
    return whole + remainder(whole, 16, 0x8005).to_bytes(2, "big")


def info_of(channels=2, bits=16):
    return _StreamInfo(0, BLOCK, channels, bits, 0, bytes(16))


SIZES = {1: 192, 2: 576, 3: 1152, 4: 2304, 5: 4608, 8: 256, 9: 512, 10: 1024, 11: 2048, 12: 4096, 13: 8192, 14: 16384}


@pytest.mark.parametrize(("size", "samples"), [*SIZES.items(), (15, 32768)])
def test_block_sizes_are_those_of_the_standards_table(size, samples):
    content = frame(size=size)
    assert _frame_at(content, 0, info_of()) == (5 * BLOCK, samples, 0, len(content))


@pytest.mark.parametrize(("size", "extra", "samples"), [(6, b"\x07", 8), (7, b"\x12\x34", 0x1235)])
def test_uncommon_block_sizes_stand_behind_the_number_less_one(size, extra, samples):
    assert _frame_at(frame(size=size, extra=extra), 0, info_of())[1] == samples


@pytest.mark.parametrize(("rate", "extra"), [(12, b"\x10"), (13, b"\x10\x20"), (14, b"\x10\x20"), (11, b"")])
def test_uncommon_rates_stand_behind_the_number(rate, extra):
    content = frame(rate=rate, extra=extra)
    assert _frame_at(content, 0, info_of()) == (5 * BLOCK, 4096, 0, len(content))


@pytest.mark.parametrize(("code", "bits"), [(1, 8), (2, 12), (4, 16), (5, 20), (6, 24), (7, 32), (0, 16)])
def test_bits_are_those_of_the_standards_table_and_must_be_the_streams(code, bits):
    content = frame(bits=code)
    assert _frame_at(content, 0, info_of(bits=bits)) is not None
    assert code == 0 or _frame_at(content, 0, info_of(bits=bits + 1)) is None


@pytest.mark.parametrize(("code", "channels"), [(0, 1), (1, 2), (7, 8), (8, 2), (9, 2), (10, 2)])
def test_channels_must_be_the_streams(code, channels):
    assert _frame_at(frame(channels=code), 0, info_of(channels)) is not None
    assert _frame_at(frame(channels=code), 0, info_of(channels + 1)) is None


def test_reserved_channels_and_bits_are_no_frame():
    assert _frame_at(frame(channels=11), 0, info_of()) is None
    broken = frame()
    assert _frame_at(broken[:3] + bytes([broken[3] | 1]) + broken[4:], 0, info_of()) is None
    assert _frame_at(frame(size=0), 0, info_of()) is None


@pytest.mark.parametrize("number", [0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFFF, 0x1F_FFFF, 0x3FF_FFFF, 0x7FFF_FFFF, 2**36 - 1])
def test_numbers_are_coded_like_utf_8_up_to_36_bits(number):
    content = frame(number)
    assert _frame_at(content, 0, info_of()) == (number * BLOCK, 4096, 0, len(content))
    assert _frame_at(frame(number, variable=1), 0, info_of())[0] == number


@pytest.mark.parametrize("first", [0x80, 0xBF, 0xFF])
def test_a_byte_that_no_number_begins_with_is_no_frame(first):
    head = bytes([0xFF, 0xF8, 0xC9, 0x18, first]) + b"\x80" * 7
    for length in range(5, len(head) + 1):
        sound = head[:length] + bytes([remainder(head[:length], 8, 0x07)]) + bytes(40)
        assert _frame_at(sound, 0, info_of()) is None


def test_a_header_that_the_end_cuts_is_no_frame_and_a_cut_frame_has_no_end():
    content = frame(number=0x7FFF_FFFF, size=7, extra=b"\x12\x34")
    for length in range(5, 13):
        assert _frame_at(content[:length], 0, info_of()) is None
    assert _frame_at(content[:20], 0, info_of())[3] == 0
    assert _frame_at(content + bytes(50), 0, info_of())[3] == len(content)
    assert _frame_at(content + b"\1", 0, info_of())[3] == 0


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_S8", 8), ("PCM_16", 16), ("PCM_24", 24)])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_a_stream_declares_what_was_written_and_its_last_frame_ends_it(subtype, bits, channels):
    content = encoded(sine(RATE, channels), "FLAC", subtype)
    info = _stream_info(content)
    assert (info.position, info.channels, info.bits, info.total) == (8, channels, bits, RATE)
    last = _last_frame(content, info)
    assert last.sample + last.samples == RATE and last.end == len(content)
    assert read_flac(content)[0] == Declared("FLAC", RATE, md5=info.md5, bits=bits)


def test_the_total_is_blanked_and_nothing_else():
    content = encoded(sine(), "FLAC")
    _, again = read_flac(content + bytes(30))
    assert _stream_info(again) == _stream_info(content)._replace(total=0)
    assert again[26:] == content[26:] and again[:18] == content[:18]


def test_a_stream_that_lost_more_than_its_last_frame_is_truncated():
    content = encoded((0.3 * np.random.default_rng(0).standard_normal((1, RATE))).clip(-1, 1), "FLAC")
    info = _stream_info(content)
    last = _last_frame(content, info)
    declared, kept = read_flac(content[: last.end - 1])
    assert (declared.frames, declared.md5, len(kept)) == (last.sample, None, last.start)
    assert declared.note == f"the last FLAC frame is cut: left out, {last.sample} sample frames remain"
    before = _last_frame(content[: last.start], info)
    cut = content[: before.end - 1]
    with pytest.raises(ContainerError, match=f"declares {RATE} sample frames, {before.sample} are there"):
        read_flac(cut)


def test_a_stream_without_its_length_says_so_and_one_without_its_head_is_refused():
    content = encoded(sine(), "FLAC")
    fields = struct.unpack_from(">Q", content, 18)[0] >> 36 << 36
    unknown = content[:18] + struct.pack(">Q", fields) + bytes(16) + content[42:]
    note = "no length in the FLAC header: read to the end"
    assert read_flac(unknown)[0] == Declared("FLAC", None, bits=16, note=note)
    with pytest.raises(ContainerError, match="without a STREAMINFO"):
        read_flac(content[:4] + bytes([content[4] | 1]) + content[5:])


def test_a_long_block_in_front_of_the_streams_head_is_passed_over():
    content = encoded(sine(), "FLAC")
    size = 70_000
    padded = content[:4] + b"\1" + size.to_bytes(3, "big") + b"\xff" * size + content[4:]
    assert _stream_info(padded) == _stream_info(content)._replace(position=8 + 4 + size)
