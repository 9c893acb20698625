"""MPEG Layer III frame headers by the tables of ISO/IEC 11172-3 and 13818-3, and where a stream begins."""

import struct

import pytest

from soundgate.audio.streams import (
    _behind_tags,
    _counting_frame,
    _first_mp3_frame,
    _mp3_frame,
    _next_mp3_frame,
    _xing_frames,
    without_id3,
)

VERSION_1 = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
VERSION_2 = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]
RATES = {3: [44100, 48000, 32000], 2: [22050, 24000, 16000], 0: [11025, 12000, 8000]}


def header(version=3, layer=1, kbps=9, rate=0, pad=0, mode=0):
    return bytes([0xFF, 0xE0 | version << 3 | layer << 1 | 1, kbps << 4 | rate << 2 | pad << 1, mode << 6])


def frames(count, **fields):
    size = _mp3_frame(header(**fields), 0)[0]
    return header(**fields).ljust(size, b"\x11") * count


@pytest.mark.parametrize("version", [3, 2, 0])
@pytest.mark.parametrize("rate", [0, 1, 2])
@pytest.mark.parametrize("pad", [0, 1])
def test_a_frame_has_the_bytes_that_its_rate_and_bit_rate_give(version, rate, pad):
    for kbps, thousands in enumerate(VERSION_1 if version == 3 else VERSION_2, start=1):
        samples = 1152 if version == 3 else 576
        size = int(samples / 8 * thousands * 1000 / RATES[version][rate]) + pad
        assert _mp3_frame(b"xy" + header(version, 1, kbps, rate, pad), 2) == (size, samples, (version, rate))


@pytest.mark.parametrize("fields", [{"version": 1}, {"layer": 2}, {"layer": 0}, {"kbps": 0}, {"kbps": 15}, {"rate": 3}])
def test_reserved_values_and_other_layers_are_no_frame(fields):
    assert _mp3_frame(header(), 0) is not None
    assert _mp3_frame(header(**fields), 0) is None


def test_what_does_not_begin_with_eleven_set_bits_is_no_frame():
    whole = header()
    assert _mp3_frame(whole[:3], 0) is None
    assert _mp3_frame(b"\xfe" + whole[1:], 0) is None
    assert _mp3_frame(b"\xff" + bytes([whole[1] & 0xDF]) + whole[2:], 0) is None


def test_a_stream_begins_at_its_first_frame_behind_zeros():
    assert _first_mp3_frame(frames(2)) == 0
    assert _first_mp3_frame(bytes(700) + frames(2)) == 700
    assert _first_mp3_frame(frames(1)) == 0
    assert _first_mp3_frame(frames(1) + b"no frame") is None


def test_behind_other_bytes_it_takes_three_like_frames_or_two_and_the_end():
    for behind in (b"", b"no frame"):
        assert _first_mp3_frame(b"xyz" + frames(3) + behind) == 3
    assert _first_mp3_frame(b"xyz" + frames(2)) == 3
    assert _first_mp3_frame(b"xyz" + frames(2) + b"no frame") is None
    assert _first_mp3_frame(frames(2) + b"no frame") == 0


@pytest.mark.parametrize(("before", "begin"), [(1440, 1440), (1441, None)])
def test_less_than_the_longest_frame_may_stand_in_front(before, begin):
    assert _first_mp3_frame(bytes(9) + b"x" * before + frames(3)) == (None if begin is None else begin + 9)


def test_the_next_frames_are_a_pair_or_the_last():
    size = len(frames(1))
    content = b"ab" + frames(1, rate=1) + b"\xff\xff" + frames(2)
    first = 2 + len(frames(1, rate=1)) + 2
    assert _next_mp3_frame(content, 0, (3, 0)) == first
    assert _next_mp3_frame(content, first + 1, (3, 0)) == first + size
    assert _next_mp3_frame(content + b"x", first + 1, (3, 0)) == len(content) + 1


def test_a_xing_header_counts_frames_where_it_says_so():
    side = bytes(36)
    assert _xing_frames(side + b"Xing" + struct.pack(">II", 1, 77) + bytes(90)) == 77
    assert _xing_frames(side + b"Info" + struct.pack(">II", 0xF, 78) + bytes(90)) == 78
    assert _xing_frames(side + b"Info" + struct.pack(">II", 0xE, 78) + bytes(90)) == 0
    assert _xing_frames(bytes(45) + b"Xing" + struct.pack(">II", 1, 77)) is None
    assert _xing_frames(side) is None


@pytest.mark.parametrize(("version", "mode", "side"), [(3, 0, 32), (3, 3, 17), (2, 1, 17), (2, 3, 9), (0, 3, 9)])
def test_a_counting_frame_is_a_frame_whose_xing_header_is_behind_the_side_information(version, mode, side):
    content = header(version, kbps=5, rate=1, mode=mode)
    found = _counting_frame(content, 1234)
    size, _, kind = _mp3_frame(found, 0)
    assert (size, kind) == (len(found), (version, 1)) and found[3] == content[3]
    assert found.index(b"Xing") == 4 + side and _xing_frames(found) == 1234


def test_tags_are_passed_over_one_after_another():
    tag = b"ID3\4\0\0\0\0\0\7" + bytes(7)
    assert without_id3(tag + tag + b"rest") == b"rest"
    assert without_id3(b"ID3\4") == b"ID3\4"
    assert without_id3(b"rest" + tag) == b"rest" + tag
    last = b"TAG" + bytes(125)
    assert _behind_tags(b"ab" + tag + last + b"x", 2) == 2 + 17 + 128
