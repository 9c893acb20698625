"""Headers that lie are read as far as there is audio, with a note; what is damaged inside is not."""

import struct

import numpy as np
import pytest
import soundfile

from soundgate.audio.exact import read_exact
from soundgate.audio.io import read_audio
from soundgate.audio.spooled import open_exact
from soundgate.audio.streams import _mp3_frame
from soundgate.runtime.errors import AudioError
from tests.audio.test_io import RATE, encoded, flac_streaminfo, ogg_pages, refused, sine, wav_header

FRAMES = 5_000
NOISE = (0.2 * np.random.default_rng(0).standard_normal((2, FRAMES))).astype(np.float32)
STREAM_SIZES = [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x80000000, 0xFFFFFFFF - 44, 0x7FFF0024]
LINEAR = [
    ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "ULAW"), ("WAVEX", "PCM_16"), ("RF64", "PCM_16"),
    ("W64", "PCM_16"), ("AIFF", "PCM_16"), ("AIFF", "PCM_24"), ("AIFF", "FLOAT"), ("AIFF", "ULAW"), ("CAF", "PCM_16"),
    ("AU", "PCM_16"), ("AU", "FLOAT"),
]  # fmt: skip


def put(content, mark, offset, code, *values):
    """Overwrite numbers at an offset from a mark."""
    at = content.index(mark) + offset
    return content[:at] + struct.pack(code, *values) + content[at + struct.calcsize(code) :]


def with_size(content, kind, size):
    """Write a length of the samples, in bytes, wherever the container has one; the outer sizes are 0."""
    wide = size if size < 0xFFFF0000 else 2**64 - 1
    if kind in ("WAV", "WAVEX"):
        return put(put(content, b"RIFF", 4, "<I", 0), b"data", 4, "<I", size)
    if kind == "RF64":
        content = put(content, b"ds64", 8, "<QQQ", 0, wide, 0)
        return put(content, b"data", 4, "<I", 0xFFFFFFFF)
    if kind == "W64":
        return put(put(content, b"riff", 16, "<Q", 0), b"data", 16, "<Q", wide if size else 24)
    if kind == "AIFF":
        content = put(put(content, b"FORM", 4, ">I", 0), b"COMM", 10, ">I", min(size, 0x7FFFFFFF))
        return put(content, b"SSND", 4, ">I", size)
    if kind == "CAF":
        return put(content, b"data", 4, ">q", size if size < 0xFFFF0000 else -1)
    return put(content, b".snd", 8, ">I", size)


def read_everywhere(path):
    """Read by all three readers, which must agree; return the floats and the note."""
    audio, exact, spooled = read_audio(path), read_exact(path), open_exact(path, path.parent)
    assert audio.note == exact.note == spooled.note
    np.testing.assert_array_equal(exact.samples, spooled.samples)
    assert exact.samples.shape == audio.wav.shape
    return audio.wav, audio.note


def decoded(path, content):
    path.write_bytes(content)
    wav, _ = soundfile.read(path, dtype="float32", always_2d=True)
    return wav.T


@pytest.mark.parametrize(("kind", "subtype"), LINEAR)
@pytest.mark.parametrize("size", STREAM_SIZES)
def test_what_was_written_to_a_pipe_or_never_closed_is_read_whole(tmp_path, kind, subtype, size):
    content, path = encoded(NOISE, kind, subtype), tmp_path / "a"
    wanted = decoded(path, content)
    path.write_bytes(with_size(content, kind, size))
    wav, note = read_everywhere(path)
    np.testing.assert_array_equal(wav, wanted)
    assert "no length" in note and "read to the end" in note


@pytest.mark.parametrize(("kind", "subtype"), LINEAR)
def test_a_recording_that_stopped_inside_a_frame_is_read_to_its_last_whole_one(tmp_path, kind, subtype):
    content, path = encoded(NOISE, kind, subtype), tmp_path / "a"
    wanted = decoded(path, content)
    start = len(content) - (len(content) - content.index({"AIFF": b"SSND", "AU": b".snd"}.get(kind, b"data"))) // 2
    cut = with_size(content, kind, 0)[: start | 1]
    path.write_bytes(cut)
    wav, note = read_everywhere(path)
    assert 0.4 * FRAMES < wav.shape[1] < 0.6 * FRAMES and note
    np.testing.assert_array_equal(wav, wanted[:, : wav.shape[1]])


@pytest.mark.parametrize(("kind", "subtype"), [pair for pair in LINEAR if pair[0] != "AIFF"])
def test_a_length_that_was_not_brought_up_to_date_is_not_believed(tmp_path, kind, subtype):
    content, path = encoded(NOISE, kind, subtype), tmp_path / "a"
    wanted = decoded(path, content)
    path.write_bytes(with_size(content, kind, 4_000))
    wav, note = read_everywhere(path)
    np.testing.assert_array_equal(wav, wanted)
    assert "declares" in note and "are there: read to the end" in note


def test_an_aiff_of_which_only_the_number_of_frames_is_missing_is_read(tmp_path):
    content, path = encoded(NOISE, "AIFF"), tmp_path / "a.aif"
    wanted = decoded(path, content)
    path.write_bytes(put(content, b"COMM", 10, ">I", 0))
    wav, note = read_everywhere(path)
    np.testing.assert_array_equal(wav, wanted)
    assert "no length in the AIFF header" in note


def test_a_length_that_counts_the_header_or_half_a_frame_is_put_right(tmp_path):
    path, whole = tmp_path / "a.wav", encoded(sine())
    for content, frames in (
        (put(whole, b"data", 4, "<I", len(whole)), RATE),
        (put(whole, b"data", 4, "<I", len(whole) - 8), RATE),
        (whole[:-1], RATE - 1),
    ):
        path.write_bytes(content)
        wav, note = read_everywhere(path)
        np.testing.assert_allclose(wav, sine()[:, :frames], atol=2**-15)
        assert "are there: read to the end" in note


@pytest.mark.parametrize("behind", ["zeros", "tag", "chunk", "odd chunk", "cut chunk", "one byte"])
def test_what_stands_behind_the_samples_is_no_audio(tmp_path, behind):
    tail = {
        "zeros": bytes(9_000),
        "tag": b"TAG" + b"name".ljust(125, b"\0"),
        "chunk": struct.pack("<4sI", b"LIST", 400) + b"INFO" * 100,
        "odd chunk": b"\0" + struct.pack("<4sI", b"cart", 400) + b"INFO" * 100,
        "cut chunk": struct.pack("<4sI", b"LIST", 90_000) + b"INFO" * 100,
        "one byte": b"\0",
    }[behind]
    path, whole = tmp_path / "a.wav", encoded(sine())
    wanted = decoded(path, whole)
    path.write_bytes(whole + tail)
    wav, note = read_everywhere(path)
    np.testing.assert_array_equal(wav, wanted)
    assert note == ""


def test_a_sphere_header_that_lies_is_put_right_by_what_is_there(tmp_path):
    path, content = tmp_path / "a.sph", encoded(NOISE, "NIST", "PCM_16")
    wanted = decoded(path, content)
    counted = f"sample_count -i {FRAMES}".encode()
    assert counted in content
    for lie, frames, note in (
        (content + bytes(600), FRAMES, ""),
        (content[:-5], FRAMES - 2, "read to the end"),
        (content.replace(counted, b"sample_count -i 0000"), FRAMES, "no length"),
        (content.replace(counted, b"sample_count -i 4000"), FRAMES, "read to the end"),
    ):
        path.write_bytes(lie)
        wav, found = read_everywhere(path)
        np.testing.assert_array_equal(wav, wanted[:, :frames])
        assert note in found and bool(found) == bool(note)


def test_no_samples_before_another_chunk_are_none(tmp_path):
    content = wav_header(0) + struct.pack("<4sI", b"LIST", 400) + b"INFO" * 100
    assert refused(tmp_path / "a.wav", content) == "empty: 0 sample frames"


@pytest.mark.parametrize("padded", [True, False])
def test_odd_chunks_before_the_samples_may_lack_their_pad_byte(tmp_path, padded):
    path, whole = tmp_path / "a.wav", encoded(sine())
    wanted = decoded(path, whole)
    chunk = struct.pack("<4sI", b"LIST", 9) + b"INFOxxxxx" + bytes(padded)
    path.write_bytes(whole[:36] + chunk + whole[36:])
    wav, note = read_everywhere(path)
    np.testing.assert_array_equal(wav, wanted)
    assert note == ""


def test_coded_blocks_of_a_stream_are_read_to_the_end(tmp_path):
    path, content = tmp_path / "a.wav", encoded(sine(), "WAV", "IMA_ADPCM")
    path.write_bytes(put(with_size(content, "WAV", 0xFFFFFFFF), b"fact", 8, "<I", 0))
    wav, note = read_everywhere(path)
    assert RATE <= wav.shape[1] < RATE + 1_100 and "no length" in note
    np.testing.assert_allclose(wav[:, 100:RATE], sine()[:, 100:], atol=0.05)


LONG = (0.2 * np.random.default_rng(1).standard_normal((1, 70_000))).astype(np.float32)
TAILS = {
    "zeros": bytes(100_000),
    "few zeros": bytes(7),
    "ID3v1": b"TAG" + b"a name".ljust(125, b"\0"),
    "zeros and tags": bytes(3_000) + b"APETAGEX" + bytes(2_000) + b"TAG" + bytes(125),
    "APE": b"APETAGEX" + struct.pack("<IIII", 2000, 5_032, 1, 0xA0000000) + bytes(8) + b"\xff\xfb\x90\x00" * 1_250,
}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize(
    ("kind", "subtype"), [("MP3", "MPEG_LAYER_III"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")]
)
def test_padding_and_tags_behind_the_last_frame_are_passed_over(tmp_path, kind, subtype, tail):
    path, content = tmp_path / "a", encoded(LONG, kind, subtype)
    path.write_bytes(content)
    wanted, _ = read_everywhere(path)
    path.write_bytes(content + TAILS[tail])
    wav, note = read_everywhere(path)
    np.testing.assert_array_equal(wav, wanted)
    assert note == ""


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("tag", [b"", b"ID3\3\0\0\0\0\0\x0a" + b"a" * 10])
def test_less_than_a_frame_in_front_of_an_mp3_is_passed_over_and_zeros_too(tmp_path, counted, tag):
    content, path = encoded(LONG, "MP3", "MPEG_LAYER_III"), tmp_path / "a.mp3"
    content = content if counted else content[_mp3_frame(content, 0)[0] :]
    path.write_bytes(content)
    wanted, _ = read_everywhere(path)
    garbage = np.random.default_rng(3).integers(1, 256, 900, dtype=np.uint8).tobytes()
    for front, note in ((bytes(7), ""), (bytes(3_000), ""), (garbage, "900 bytes"), (bytes(50) + b"x", "1 bytes")):
        path.write_bytes(tag + front + content)
        wav, found = read_everywhere(path)
        np.testing.assert_array_equal(wav, wanted)
        assert found.startswith(note) and bool(found) == bool(note)
    assert refused(path, tag + 5 * garbage + content).startswith("unreadable")


def test_mp3_without_a_length_and_with_a_tail_is_read_whole(tmp_path):
    content, path = encoded(LONG, "MP3", "MPEG_LAYER_III"), tmp_path / "a.mp3"
    bare = content[_mp3_frame(content, 0)[0] :]
    path.write_bytes(bare)
    wanted, _ = read_everywhere(path)
    path.write_bytes(bare + TAILS["ID3v1"])
    np.testing.assert_array_equal(read_everywhere(path)[0], wanted)


def test_mp3s_joined_to_one_file_are_read_to_the_end_or_refused(tmp_path):
    content, path = encoded(LONG, "MP3", "MPEG_LAYER_III"), tmp_path / "a.mp3"
    path.write_bytes(content)
    one, _ = read_everywhere(path)
    path.write_bytes(content + b"ID3\3\0\0\0\0\0\x0a" + b"a" * 10 + content)
    wav, note = read_everywhere(path)
    # The encoder's delay and padding lie between them, and the second header is a frame of silence.
    assert 2 * one.shape[1] <= wav.shape[1] < 2 * one.shape[1] + 5 * 1152
    assert note.startswith("MP3 header declares") and note.endswith("read to the end")
    place = wav.shape[1] - one.shape[1]
    joined = [np.corrcoef(wav[0, at : at + 50_000], one[0, :50_000])[0, 1] for at in range(place - 3_000, place + 1)]
    assert max(joined) > 0.99
    path.write_bytes(content + encoded(LONG, "MP3", "MPEG_LAYER_III", rate=2 * RATE))
    assert "sample rate changes" in refused(path, path.read_bytes())


@pytest.mark.parametrize(("kind", "subtype"), [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS")])
def test_bytes_behind_the_last_frame_are_left_out_with_a_note(tmp_path, kind, subtype):
    path, content = tmp_path / "a", encoded(LONG, kind, subtype)
    path.write_bytes(content)
    wanted, _ = read_everywhere(path)
    path.write_bytes(content + b"junk" * 500)
    wav, note = read_everywhere(path)
    np.testing.assert_array_equal(wav, wanted)
    assert note.endswith("are 2000 bytes that are none: left out")


def test_bw64_is_rf64_by_another_name(tmp_path):
    path, content = tmp_path / "a.wav", encoded(NOISE, "RF64", "PCM_16")
    wanted = decoded(path, content)
    path.write_bytes(b"BW64" + content[4:])
    wav, note = read_everywhere(path)
    np.testing.assert_array_equal(wav, wanted)
    assert note == ""


def test_a_cut_mp3_is_read_but_for_its_last_frame(tmp_path):
    content, path = encoded(LONG, "MP3", "MPEG_LAYER_III"), tmp_path / "a.mp3"
    path.write_bytes(content)
    whole, _ = read_everywhere(path)
    for cut in (1, 40):
        path.write_bytes(content[:-cut])
        wav, note = read_everywhere(path)
        assert whole.shape[1] - 2 * 1152 <= wav.shape[1] <= whole.shape[1]
        np.testing.assert_allclose(wav[:, :60_000], whole[:, :60_000], atol=1e-6)
        assert "the last MP3 frame is cut" in note
    assert refused(path, content[: len(content) // 2]).startswith("truncated")


def test_a_hole_in_an_mp3_is_refused_and_one_damaged_frame_is_passed_over(tmp_path):
    content, path = encoded(LONG, "MP3", "MPEG_LAYER_III"), tmp_path / "a.mp3"
    half = len(content) // 2
    for hole in (content[:half] + bytes(3_000) + content[half + 3_000 :], content[:half] + content[half + 3_000 :]):
        assert refused(path, hole).startswith(("damaged", "truncated"))
    bare = content[_mp3_frame(content, 0)[0] :]
    start = 0
    for _ in range(9):
        start += _mp3_frame(bare, start)[0]
    path.write_bytes(bare[:start] + b"\0\0\0\0" + bare[start + 4 :])
    assert "damaged MP3 frames, passed over: 1 of" in read_everywhere(path)[1]
    assert refused(path, bare[:start] + bytes(2_000) + bare[start:]).startswith("damaged: behind MP3 frame 9 are 2000")


@pytest.mark.parametrize("known", [True, False])
def test_a_cut_flac_is_read_to_its_last_whole_frame(tmp_path, known):
    content, path = encoded(LONG, "FLAC"), tmp_path / "a.flac"
    wanted = decoded(path, content)
    content = content if known else flac_streaminfo(content, total=0, md5=bytes(16))
    for cut in (1, 2, 10, 300):
        path.write_bytes(content[:-cut])
        wav, note = read_everywhere(path)
        np.testing.assert_array_equal(wav, wanted[:, : 17 * 4_096])
        assert "the last FLAC frame is cut" in note
    damaged = bytearray(content[:-10])
    damaged[len(content) // 2] ^= 0xFF
    assert refused(path, bytes(damaged)).startswith("unreadable")
    half = content[: len(content) // 2]
    if known:
        assert refused(path, half).startswith("truncated: FLAC declares 70000 sample frames, 32768 are there")
    else:
        path.write_bytes(half)
        assert read_audio(path).wav.shape[1] == 8 * 4_096


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_cut_ogg_is_read_to_its_last_whole_page(tmp_path, subtype):
    content, path = encoded(np.tile(LONG, 3), "OGG", subtype), tmp_path / "a.ogg"
    path.write_bytes(content)
    whole, _ = read_everywhere(path)
    pages = ogg_pages(content)
    assert len(pages) > 6
    for cut in (content[:-7], b"".join(pages[:-1]), content[:-7] + bytes(5_000), b"".join(pages[:5]) + pages[5][:99]):
        path.write_bytes(cut)
        wav, note = read_everywhere(path)
        assert "the Ogg stream is cut" in note
        assert 0 < wav.shape[1] < whole.shape[1]
        n = wav.shape[1] - 2_000
        np.testing.assert_allclose(wav[:, :n], whole[:, :n], atol=1e-6)


def test_a_name_that_is_not_utf_8_reads_and_its_error_can_be_printed(tmp_path):
    path = tmp_path / b"caf\xe9 \xff.wav".decode("utf-8", "surrogateescape")
    path.write_bytes(encoded(sine()))
    assert read_everywhere(path)[0].shape == (1, RATE)
    path.write_bytes(b"")
    with pytest.raises(AudioError) as caught:
        read_audio(path)
    assert "caf\\xe9 \\xff.wav" in str(caught.value).encode("utf-8").decode()
