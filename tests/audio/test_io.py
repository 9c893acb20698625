"""Files are read right or refused with a reason; each fault is made here."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
import soundfile

from soundgate.audio import decoding
from soundgate.audio.io import read_audio, resample, write_audio
from soundgate.audio.streams import _mp3_frame, _ogg_crc, without_id3
from soundgate.runtime.errors import AudioError

RATE = 16_000


def sine(frames=RATE, channels=1, frequency=440.0):
    wave = 0.5 * np.sin(2 * np.pi * frequency * np.arange(frames) / RATE)
    return np.stack([wave * (1 - 0.25 * c) for c in range(channels)]).astype(np.float32)


def encoded(wav, kind="WAV", subtype="PCM_16", rate=RATE, **options):
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate, len(wav), subtype, format=kind, **options) as file:
        file.write(wav.T)
    return buffer.getvalue()


def refused(path, content):
    path.write_bytes(content)
    with pytest.raises(AudioError) as caught:
        read_audio(path)
    assert caught.value.subject == str(path)
    return caught.value.found


CONTAINERS = [
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("WAV", "PCM_U8"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAV", "ALAW"),
    ("WAVEX", "PCM_16"),
    ("RF64", "PCM_16"),
    ("W64", "PCM_24"),
    ("AIFF", "PCM_16"),
    ("AIFF", "FLOAT"),
    ("CAF", "PCM_16"),
    ("AU", "PCM_16"),
    ("AU", "ULAW"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
]


@pytest.mark.parametrize(("kind", "subtype"), CONTAINERS)
def test_every_container_is_read_exactly_and_refused_when_cut(tmp_path, kind, subtype):
    content = encoded(sine(5_000, 2), kind, subtype)
    path = tmp_path / "any.bin"
    path.write_bytes(content)
    audio = read_audio(path)
    expected, _ = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    assert audio.sample_rate == RATE and audio.wav.dtype == np.float32
    np.testing.assert_array_equal(audio.wav, expected.T)
    assert audio.note == ""
    for share in (0.4, 0.6):
        assert refused(path, content[: int(len(content) * share)]).startswith(("truncated", "unreadable"))


@pytest.mark.parametrize("name", ["named.wav", "ohne Endung", "ünï 'quote' $x.flac", "a.mp3"])
def test_the_content_decides_not_the_name(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(encoded(sine(48_000), "OGG", "VORBIS"))
    audio = read_audio(path)
    assert audio.wav.shape == (1, 48_000)
    assert np.corrcoef(audio.wav[0], sine(48_000)[0])[0, 1] > 0.99


def wav_header(data_bytes, rate=RATE, channels=1, bits=16, tag=1):
    block = channels * bits // 8
    head = struct.pack(
        "<4sI4s4sIHHIIHH",
        b"RIFF",
        36 + data_bytes,
        b"WAVE",
        b"fmt ",
        16,
        tag,
        channels,
        rate,
        rate * block % 2**32,
        block,
        bits,
    )
    return head + struct.pack("<4sI", b"data", data_bytes)


def with_sample(value):
    wav = sine()
    wav[0, 100] = value
    return encoded(wav, subtype="FLOAT")


FOREIGN = "unreadable: no audio format that is read, but"
FAULTS = {
    "0 bytes": (b"", "empty: 0 bytes"),
    "0 frames": (wav_header(0), "empty: 0 sample frames"),
    "0 frames of flac": (encoded(np.zeros((1, 0)), "FLAC"), "empty"),
    "cut inside the header": (encoded(sine())[:20], "truncated: the file ends inside its header"),
    "only a header": (wav_header(48_000), "truncated: WAV declares 48000 bytes of samples, 0 are there"),
    "much too short": (encoded(sine())[:-100], "truncated: WAV declares 32000 bytes of samples, 31900"),
    "not a number": (with_sample(np.nan), "non-finite: 1 of 16000"),
    "infinite": (with_sample(-np.inf), "non-finite"),
    "beyond float32": (encoded(np.full((1, 9), 1e300), subtype="DOUBLE"), "non-finite: 9 of 9"),
    "integers as floats": (encoded(sine() * 32768, subtype="FLOAT"), "absurd header: samples reach"),
    "silence": (encoded(np.zeros((2, 77))), "all zero: 77 sample frames"),
    "rate too low": (wav_header(200, rate=3_999) + bytes(range(200)), "absurd header: sample rate 3999"),
    "rate too high": (wav_header(200, rate=384_001) + bytes(range(200)), "absurd header: sample rate 384001"),
    "too many channels": (wav_header(260, channels=65) + bytes(range(130)) * 2, "absurd header: 65 channels"),
    "block of no frame": (wav_header(8, bits=0) + bytes(8), "absurd header"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "Git-LFS pointer"),
    "text": (b"<html>404</html>" * 99, "unreadable: no audio format"),
    "page": (b"\xef\xbb\xbf\r\n<!DOCTYPE html>", "unreadable: no audio format that is read, but a web page; download"),
    "M4A": (b"\0\0\0\x20ftypM4A " + bytes(99), f"{FOREIGN} MP4 or M4A; convert it: ffmpeg -i IN OUT.wav"),
    "WebM": (b"\x1a\x45\xdf\xa3" + bytes(99), f"{FOREIGN} WebM or Matroska; convert it: ffmpeg"),
    "AAC behind a tag": (b"ID3\3\0\0\0\0\0\x02ab\xff\xf1\x50\x80" + bytes(99), f"{FOREIGN} AAC; convert it: ffmpeg"),
    "annex": (b"/annex/objects/SHA256E-s1--x.wav\n", f"{FOREIGN} a git-annex pointer; git annex get"),
    "WMA in a WAV": (wav_header(200, tag=0x161) + bytes(200), "unreadable: WAV in coding WMA (0x0161) is not read"),
    "random": (np.random.default_rng(0).bytes(4096), "unreadable"),
    "sync word and noise": (b"\xff\xfb" + np.random.default_rng(1).bytes(4096), "unreadable"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_refused_with_their_reason(tmp_path, fault):
    content, reason = FAULTS[fault]
    assert refused(tmp_path / "fault.wav", content).startswith(reason)


def test_missing_file_and_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.wav", tmp_path):
        with pytest.raises(AudioError, match="unreadable"):
            read_audio(path)


def test_the_pointer_error_says_what_to_do(tmp_path):
    (tmp_path / "p.wav").write_bytes(FAULTS["pointer"][0])
    with pytest.raises(AudioError, match="git lfs pull"):
        read_audio(tmp_path / "p.wav")


def flac_streaminfo(content, total=None, bits=None, md5=None):
    """Return the FLAC with fields of STREAMINFO overwritten (it starts at byte 8)."""
    fields = struct.unpack_from(">Q", content, 18)[0]
    if total is not None:
        fields = fields >> 36 << 36 | total
    if bits is not None:
        fields = fields & ~(31 << 36) | bits - 1 << 36
    return content[:18] + struct.pack(">Q", fields) + (md5 or content[26:42]) + content[42:]


def test_flac_lies_are_caught(tmp_path):
    content, path = encoded(sine(70_000), "FLAC"), tmp_path / "a.flac"
    no_md5 = flac_streaminfo(content, md5=bytes(16))
    assert "declares 40000 sample frames, 70000" in refused(path, flac_streaminfo(content, total=40_000))
    assert "declares 80000 sample frames, 70000" in refused(path, flac_streaminfo(no_md5, total=80_000))
    assert "declares 40000 sample frames, 70000" in refused(path, flac_streaminfo(no_md5, total=40_000))
    assert "MD5" in refused(path, flac_streaminfo(content, bits=24))
    assert "MD5" in refused(path, flac_streaminfo(content, md5=b"\1" * 16))
    assert "absurd" in refused(path, flac_streaminfo(no_md5, total=2**36 - 1))
    damaged = bytearray(content)
    damaged[len(content) // 2] ^= 0xFF
    assert refused(path, bytes(damaged)).startswith(("unreadable", "truncated"))


def test_flac_of_unknown_length_is_read_to_its_end(tmp_path):
    content = encoded(sine(600_000), "FLAC")
    for streamed in (flac_streaminfo(content, total=0), flac_streaminfo(content, total=0, md5=bytes(16))):
        (tmp_path / "a.flac").write_bytes(streamed)
        np.testing.assert_allclose(read_audio(tmp_path / "a.flac").wav, sine(600_000), atol=1 / 32768)


@pytest.mark.parametrize("rate", [44_100, 16_000])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_mp3_is_counted_frame_by_frame(tmp_path, rate, mode):
    noise = np.random.default_rng(0).standard_normal((1, rate)) * 0.2
    wav = np.concatenate([noise, sine(3 * rate) * 1e-3], axis=1)
    content = encoded(wav, "MP3", "MPEG_LAYER_III", rate, bitrate_mode=mode, compression_level=0.5)
    path = tmp_path / "a.mp3"
    path.write_bytes(b"ID3\x03\0\0\0\0\x01\0" + bytes(128) + content)
    assert read_audio(path).wav.shape == wav.shape
    bare = content[_mp3_frame(content, 0)[0] :]  # without the header that states the length
    path.write_bytes(bare)
    assert 0 <= read_audio(path).wav.shape[1] - wav.shape[1] < 4 * 1152
    assert refused(path, content[: len(content) // 2]).startswith("truncated")


def test_id3_tags_are_skipped():
    assert without_id3(b"ID3\x03\0\0\0\0\0\x05abcdefLaC") == b"fLaC"


def ogg_pages(content):
    starts = [i for i in range(len(content)) if content.startswith(b"OggS", i)]
    return [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]


def test_ogg_damage_is_caught(tmp_path):
    noise = np.random.default_rng(0).standard_normal((1, 90_000)).astype(np.float32) * 0.2
    content, path = encoded(noise, "OGG", "VORBIS"), tmp_path / "a.ogg"
    pages = ogg_pages(content)
    assert len(pages) > 5
    assert "missing or damaged" in refused(path, b"".join(pages[:3] + pages[4:]))
    assert "page 3 is missing or damaged" in refused(path, b"".join([*pages[:3], pages[3][:-9], *pages[4:]]))
    hole = content[: len(content) // 2] + bytes(9_000) + content[len(content) // 2 + 9_000 :]
    assert "damaged" in refused(path, hole)
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    assert "damaged" in refused(path, bytes(flipped))
    assert "several Ogg streams" in refused(path, content + content)


def test_opus_is_read(tmp_path):
    (tmp_path / "a.opus").write_bytes(encoded(sine(48_000), "OGG", "OPUS"))
    assert abs(read_audio(tmp_path / "a.opus").wav.shape[1] - 48_000) < 1_000


def adpcm(fact):
    content = encoded(sine(3_000), "WAV", "IMA_ADPCM")
    at = content.index(b"fact") + 8
    return content[:at] + struct.pack("<I", fact) + content[at + 4 :]


def test_coded_wav_ends_where_its_fact_chunk_says(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(adpcm(3_000))
    assert read_audio(path).wav.shape == (1, 3_000)
    assert "truncated" in refused(path, adpcm(300_000))


def test_streamed_wav_without_a_size_is_read_whole(tmp_path):
    content = bytearray(encoded(sine()))
    at = content.index(b"data") + 4
    content[4:8] = content[at : at + 4] = b"\xff" * 4
    (tmp_path / "a.wav").write_bytes(bytes(content))
    assert read_audio(tmp_path / "a.wav").wav.shape == (1, RATE)


def test_memory_is_bounded_before_decoding(tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(encoded(sine()))
    monkeypatch.setattr(decoding, "MAX_VALUES", RATE - 1)
    assert "absurd header: 16000 frames" in refused(tmp_path / "a.wav", encoded(sine()))
    streamed = flac_streaminfo(encoded(sine(), "FLAC"), total=0, md5=bytes(16))
    assert "absurd header: more than 15999 frames" in refused(tmp_path / "a.flac", streamed)


def test_resampling_keeps_a_sine_and_the_length(tmp_path):
    write_audio(tmp_path / "a.wav", sine(), RATE)
    audio = read_audio(tmp_path / "a.wav", sample_rate=24_000)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)
    assert audio.sample_rate == 24_000 and audio.wav.shape == (1, 24_000)
    np.testing.assert_allclose(audio.wav[0, 500:-500], expected[500:-500], atol=2e-4)
    assert resample(sine(), RATE, RATE).shape == (1, RATE)


def test_mono_is_the_mean_and_cancelling_channels_are_refused(tmp_path):
    write_audio(tmp_path / "a.wav", np.array([[0.5, 0.25], [0.25, 0.25]]), RATE)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav", mono=True).wav, [[0.375, 0.25]])
    write_audio(tmp_path / "b.wav", np.array([[0.5, 0.25], [-0.5, -0.25]]), RATE)
    with pytest.raises(AudioError, match="all zero"):
        read_audio(tmp_path / "b.wav", mono=True)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize(("subtype", "step"), [("PCM_16", 2**-15), ("PCM_24", 2**-23)])
def test_what_is_written_is_read_back(tmp_path, suffix, subtype, step):
    path, levels = tmp_path / f"a{suffix}", np.array([[-1.0, -0.5, 0.0, step, 0.5, 1 - step]])
    write_audio(path, levels, RATE, subtype)
    np.testing.assert_array_equal(read_audio(path).wav, levels.astype(np.float32))
    again = tmp_path / f"b{suffix}"
    write_audio(again, read_audio(path).wav, RATE, subtype)
    assert again.read_bytes() == path.read_bytes()
    write_audio(path, np.array([0.25, 1.0]), RATE, subtype)
    np.testing.assert_allclose(read_audio(path).wav, [[0.25, 1.0]], atol=step)


@pytest.mark.parametrize("suffix", [b".wav", b".flac"])
def test_names_that_are_not_utf8_hold_what_soundfile_writes_by_path(tmp_path, suffix):
    path, plain = (tmp_path / os.fsdecode(name + suffix) for name in (b"caf\xe9", b"plain"))
    write_audio(path, sine(100), RATE)
    soundfile.write(plain, np.rint(sine(100) * 2**15).astype(np.int16).T, RATE)
    assert set(tmp_path.iterdir()) == {path, plain}
    assert path.read_bytes() == plain.read_bytes()


@pytest.mark.parametrize(
    ("name", "wav", "subtype", "reason"),
    [
        ("a.wav", [[0.0, np.nan]], "PCM_16", "NaN"),
        ("a.wav", [[0.0, 1.01]], "PCM_16", "a peak of 1.01"),
        ("a.wav", [[]], "PCM_16", "shape"),
        ("a.ogg", [[0.5]], "PCM_16", "OGG"),
        ("a.flac", [[0.5]], "FLOAT", "FLAC/FLOAT"),
    ],
)
def test_what_must_not_be_written_is_refused_and_leaves_nothing(tmp_path, name, wav, subtype, reason):
    with pytest.raises(AudioError, match=reason):
        write_audio(tmp_path / name, np.array(wav), RATE, subtype)
    assert list(tmp_path.iterdir()) == []


def test_ogg_checksum_matches_a_bitwise_computation():
    page = bytes(range(60))
    register = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    assert _ogg_crc(page) == register != zlib.crc32(page)


@pytest.mark.parametrize(("head", "name"), [(b"Speex   1.2", "Speex"), (b"\x80theora\3\2", "Theora")])
def test_other_codings_in_an_ogg_are_named(tmp_path, head, name):
    page = struct.pack("<4sBBqIIIBB", b"OggS", 0, 2, 0, 7, 0, 0, 1, len(head)) + head
    page = page[:22] + struct.pack("<I", _ogg_crc(page)) + page[26:]
    assert refused(tmp_path / "a.ogg", page).startswith(f"unreadable: Ogg with {name} is not read; convert it: ffmpeg")
