"""Tags, padding and chunks behind audio, and NIST SPHERE headers, by their definitions."""

import struct

import pytest

from soundgate.audio.sphere import header_bytes, sphere_size
from soundgate.audio.tails import is_chunk, is_padding, tag_bytes

BEFORE = b"\x01" * 5


def id3v2(size, flags=0):
    places = bytes(size >> 7 * place & 0x7F for place in (3, 2, 1, 0))
    return b"ID3\4\0" + bytes([flags]) + places


@pytest.mark.parametrize(
    ("tag", "length"),
    [
        (b"TAG" + bytes(200), 128),
        (b"LYRICSBEGIN" + b"IND00002" + b"LYRICS200" + b"more", 28),
        (b"LYRICSBEGIN" + b"IND", 14 + 9),
        (b"APETAGEX" + struct.pack("<II", 2000, 500) + bytes(900), 532),
        (b"APETAGEX" + b"\1\2", 10),
        (id3v2(0x0234_5678 & 0xFFF_FFFF), 10 + 0x0234_5678),
        (id3v2(300), 310),
        (id3v2(300, flags=0x10), 320),
        (id3v2(300, flags=0xE0), 310),
        (b"ID3\4\0\0", 6),
        (b"XYZ", 0),
        (b"", 0),
    ],
)
def test_a_tag_is_as_long_as_it_says(tag, length):
    assert tag_bytes(BEFORE + tag, len(BEFORE)) == length


@pytest.mark.parametrize(
    ("tail", "expected"),
    [(b"", True), (bytes(9), True), (bytes(9) + b"TAG", True), (b"ID3", True), (b"\0\1", False), (b"TAX", False)],
)
def test_zeros_and_tags_are_padding(tail, expected):
    assert is_padding(tail) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"abcd" + struct.pack("<I", 3) + b"xyz", True),
        (b"abcd" + struct.pack(">I", 3) + b"xyz", True),
        (b"abcd" + struct.pack("<I", 4) + b"xyz", False),
        (b"LIST" + struct.pack("<I", 4) + b"xyz", True),
        (b"a cd" + struct.pack("<I", 0), True),
        (b"a\x1fcd" + struct.pack("<I", 0), False),
        (b"a~cd" + struct.pack("<I", 0), True),
        (b"a\x7fcd" + struct.pack("<I", 0), False),
        (b"abcd\0\0\0", False),
    ],
)
def test_a_chunk_has_a_printable_name_and_fits_or_has_a_known_one(content, expected):
    assert is_chunk(BEFORE + content, len(BEFORE)) == expected


def sphere(frames=10, channels=2, width=2, coding="pcm"):
    fields = f"sample_count -i {frames}\nchannel_count -i {channels}\nsample_n_bytes -i {width}\n"
    return f"NIST_1A\n   1024\n{fields}sample_coding -s{len(coding)} {coding}\nend_head\n".encode().ljust(1024)


def test_a_sphere_header_gives_the_bytes_of_its_samples_and_of_a_frame():
    assert header_bytes(sphere()) == 1024
    assert sphere_size(sphere()) == (40, 4)
    assert sphere_size(sphere(0, 1, 1, "ULAW")) == (0, 1)
    assert sphere_size(sphere(7, 1, 3, "mu-law")) == (21, 3)


@pytest.mark.parametrize("counts", [(-1, 2, 2), (10, 0, 2), (10, 2, 0), (10, -1, -1)])
def test_a_sphere_header_with_counts_that_cannot_be_is_absurd(counts):
    frames, channels, width = counts
    with pytest.raises(ValueError, match=f"absurd header: {frames} frames of {channels} channels of {width} bytes"):
        sphere_size(sphere(*counts))


def test_a_sphere_header_that_is_compressed_or_lacks_a_field_is_refused():
    with pytest.raises(ValueError, match="in coding 'pcm,embedded-shorten-v2.00' is not read"):
        sphere_size(sphere(coding="pcm,embedded-shorten-v2.00"))
    with pytest.raises(ValueError, match="without 'channel_count'"):
        sphere_size(sphere().replace(b"channel_count", b"channel_kount"))
    with pytest.raises(ValueError, match="unreadable: .* header without .*'ten'"):
        sphere_size(sphere(frames="ten"))
    with pytest.raises(ValueError, match="without its length"):
        header_bytes(b"NIST_1A\n   abcd\n")
    fields_behind = sphere().replace(b"   1024", b"     16")
    with pytest.raises(ValueError, match="without 'sample_count'"):
        sphere_size(fields_behind)
