"""What containers declare, of files whose number of frames is known."""

import io
import struct

import numpy as np
import pytest
import soundfile

from soundgate.audio.containers import ContainerError, Declared, read_container
from tests.audio.test_io import encoded, wav_header

FRAMES = 501
NOISE = (0.2 * np.random.default_rng(0).standard_normal((3, FRAMES))).astype(np.float32)
SUBTYPES = {
    "WAV": ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"],
    "WAVEX": ["PCM_16", "FLOAT", "ULAW"],
    "RF64": ["PCM_16", "PCM_24"],
    "W64": ["PCM_16", "DOUBLE"],
    "AIFF": ["PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"],
    "CAF": ["PCM_16", "PCM_24", "FLOAT", "ULAW"],
    "AU": ["PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"],
    "NIST": ["PCM_16", "PCM_24", "ULAW"],
}


def with_data_size(content, size):
    at = content.index(b"data") + 4
    return content[:at] + struct.pack("<I", size) + content[at + 4 :]


@pytest.mark.parametrize(("kind", "subtype"), [(kind, subtype) for kind, of in SUBTYPES.items() for subtype in of])
def test_every_sample_format_has_its_number_of_bytes(kind, subtype):
    content = encoded(NOISE, kind, subtype)
    declared, decoded = read_container(content)
    name = {"WAVEX": "WAV", "NIST": "NIST SPHERE"}.get(kind, kind)
    assert declared == Declared(name, FRAMES)
    for wav in (soundfile.read(io.BytesIO(decoded)), soundfile.read(io.BytesIO(content))):
        assert wav[0].shape == (FRAMES, 3)
        np.testing.assert_allclose(wav[0].T, NOISE, atol=0.05)


@pytest.mark.parametrize(("kind", "subtype"), [("AU", "DOUBLE"), ("AU", "PCM_24"), ("WAV", "PCM_16")])
def test_a_length_may_promise_64_bytes_or_less_than_a_frame_too_much(kind, subtype):
    """A frame of three channels has 24, 9 and 6 bytes."""
    content = encoded(NOISE, kind, subtype)
    for missing in (1, 63, 64):
        declared, _ = read_container(content[:-missing])
        frame_bytes = {"DOUBLE": 24, "PCM_24": 9, "PCM_16": 6}[subtype]
        assert declared.frames == (FRAMES * frame_bytes - missing) // frame_bytes
        assert "are there: read to the end" in declared.note
    with pytest.raises(ContainerError, match="truncated: .* are there"):
        read_container(content[:-65])


def test_a_frame_longer_than_a_header_may_be_missing_but_for_a_byte():
    wide = np.zeros((64, 5), np.float32)  # 128 bytes a frame of 16 bits.
    content = encoded(wide)
    assert read_container(content[:-127])[0].frames == 4
    with pytest.raises(ContainerError, match="truncated"):
        read_container(content[:-128])


def test_a_single_frame_cut_short_is_no_frame():
    with pytest.raises(ContainerError, match="truncated: WAV declares 6 bytes of samples, 5 are there"):
        read_container(encoded(NOISE[:, :1])[:-1])


def test_up_to_64_bytes_behind_the_samples_are_no_samples_and_more_are():
    content = encoded(NOISE)
    tail = b"\1" * 65
    kept = read_container(content + tail[:64])[0]
    assert (kept.frames, kept.note) == (FRAMES, "")
    more = read_container(content + tail)[0]
    assert more.frames == FRAMES + 65 // 6
    assert more.note == f"WAV declares {FRAMES * 6} bytes of samples, {FRAMES * 6 + 65} are there: read to the end"


@pytest.mark.parametrize("behind", range(8))
def test_a_chunk_may_begin_up_to_seven_bytes_behind_the_samples(behind):
    content = encoded(NOISE) + b"\1" * behind + struct.pack("<4sI", b"LIST", 400) + b"INFO" * 100
    assert read_container(content)[0] == Declared("WAV", FRAMES)


def test_what_was_cut_off_2_gib_or_64_kib_before_has_no_length_and_one_byte_less_is_truncated():
    content = encoded(NOISE)
    at_least = 2**31 - 2**16
    assert "no length in the WAV header" in read_container(with_data_size(content, at_least))[0].note
    with pytest.raises(ContainerError, match="truncated"):
        read_container(with_data_size(content, at_least - 1))


def test_what_is_put_right_is_decoded_with_a_header_that_says_so():
    content = encoded(NOISE)
    declared, again = read_container(with_data_size(content, 0))
    assert declared.frames == FRAMES
    assert read_container(again)[0] == Declared("WAV", FRAMES)
    assert again[-FRAMES * 6 :] == content[-FRAMES * 6 :]
    assert struct.unpack_from("<I", again, 4)[0] == len(again) - 8


def test_headers_that_make_no_sense_are_refused():
    content = encoded(NOISE, "AU", "PCM_16")
    with pytest.raises(ContainerError, match="absurd header: 0 bytes a frame"):
        read_container(content[:20] + bytes(4) + content[24:])
    with pytest.raises(ContainerError, match="truncated: the file ends inside its header \\(10 bytes\\)"):
        read_container(content[:10])
    with pytest.raises(ContainerError, match="truncated: WAV header without a 'data' chunk"):
        read_container(wav_header(0)[:36])
    assert read_container(b"OggS" + bytes(100)) is None


@pytest.mark.parametrize("subtype", ["ULAW", "ALAW"])
def test_a_law_of_aifc_has_a_byte_a_sample_whatever_its_header_says(subtype):
    content = encoded(NOISE, "AIFF", subtype)
    at = content.index(b"COMM") + 14
    declared, _ = read_container(content[:at] + struct.pack(">h", 16) + content[at + 2 :])
    assert declared == Declared("AIFF", FRAMES)


def test_a_compression_of_aifc_that_is_none_of_these_leaves_the_frames_open():
    content = encoded(NOISE, "AIFF", "ULAW")
    assert read_container(content.replace(b"ulaw", b"ima4"))[0] == Declared("AIFF", None)
