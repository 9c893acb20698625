"""Real files: what is true of each decides whether it is read, and as what."""

from pathlib import Path

import pandas as pd
import pytest

from soundgate.audio.io import read_audio
from soundgate.runtime.errors import AudioError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "audio"
pytestmark = pytest.mark.skipif(not (SHARED / "bad").is_dir(), reason="no shared/audio beside the repository")

FLAC_FAULTY, FLAC_UNCOMMON = "flac_faulty__", "flac_uncommon__"
REFUSED = {
    "audiomentations_formats__digital_silence.wav": "all zero: 29976",
    # STREAMINFO says 24 bits, the frames say 16: the MD5 holds only at 16.
    FLAC_FAULTY + "03_-_wrong_bit_depth.flac": "unreadable: samples do not match the FLAC's MD5 at 24 bits",
    # STREAMINFO says 5 channels, the frames hold 1.
    FLAC_FAULTY + "04_-_wrong_number_of_channels.flac": "unreadable",
    FLAC_FAULTY + "05_-_wrong_total_number_of_samples.flac": "damaged: FLAC declares 39842 sample frames, 109487 were",
    FLAC_FAULTY + "06_-_missing_streaminfo_metadata_block.flac": "unreadable: FLAC without a STREAMINFO",
    # Frames of 65,536 samples, one more than STREAMINFO can state; libsndfile cannot decode them.
    FLAC_FAULTY + "08_-_blocksize_65536.flac": "unreadable",
    # A block length that leads the reader past the end of the file.
    FLAC_FAULTY + "11_-_incorrect_metadata_block_length.flac": "unreadable",
    # One channel first, more later: no single array [C, T] is right.
    FLAC_UNCOMMON + "02_-_increasing_number_of_channels.flac": "unreadable",
    # No 'fLaC' marker: a bare frame, and leading bytes that are no audio.
    FLAC_UNCOMMON + "10_-_file_starting_at_frame_header.flac": "unreadable: no audio format recognised",
    FLAC_UNCOMMON + "11_-_file_starting_with_unparsable_data.flac": "unreadable: no audio format recognised",
    "lfs-pointers__h179_Bar_1txts.wav": "Git-LFS pointer",
    "made__header_only_20B.wav": "truncated: the file ends inside its header (20 bytes)",
    "made__nan_inf_float.wav": "non-finite: 102 of 24000",
    "made__random_bytes.wav": "unreadable: no audio format recognised",
    "made__truncated_40pct.wav": "truncated: WAV declares 48000 bytes of samples, 19956 are there",
    "made__zero_bytes.wav": "empty: 0 bytes",
    "made__zero_frames.wav": "empty: 0 sample frames",
    "music-metadata__Pnossnd.aif": "empty: AIFF without a sound chunk",
    # Cut out of a 49 MB recording: the header still declares all of it.
    "music-metadata__odd-list-type.wav": "truncated: WAV declares 49503120 bytes of samples, 20 are there",
    "visqol_tiny__guitar48_stereo_1_sample.wav": "all zero: 1 sample frame",
}
READ_RIGHT = {  # channels, sample frames, sample rate
    "audiomentations_formats__mono_float64.wav": (1, 22, 44_100),
    "audiomentations_formats__mono_int24.wav": (1, 22, 44_100),
    # Only the metadata are at fault; MD5 and total agree with the decoded samples.
    FLAC_FAULTY + "07_-_other_metadata_blocks_preceding_streaminfo_metadata_block.flac": (1, 106_031, 24_000),
    FLAC_FAULTY + "10_-_invalid_vorbis_comment_metadata_block.flac": (1, 119_279, 24_000),
    "made__ogg_named.wav": (2, 235_201, 44_100),
    "music-metadata__alaw.wav": (2, 4_410, 44_100),
    # The fact chunks say 4,410 and 960; decoders give whole blocks (5,085), even of a pad byte (1,280).
    "music-metadata__dvi_adpcm.wav": (2, 4_410, 44_100),
    "music-metadata__gsm610.wav": (1, 960, 8_000),
}


def test_the_table_covers_every_bad_file():
    assert {path.name for path in (SHARED / "bad").iterdir()} == REFUSED.keys() | READ_RIGHT.keys()


@pytest.mark.parametrize("name", REFUSED)
def test_bad_files_are_refused_with_their_reason(name):
    with pytest.raises(AudioError) as caught:
        read_audio(SHARED / "bad" / name)
    assert caught.value.found.startswith(REFUSED[name])


@pytest.mark.parametrize("name", READ_RIGHT)
def test_odd_files_are_read_right(name):
    audio = read_audio(SHARED / "bad" / name)
    assert (*audio.wav.shape, audio.sample_rate) == READ_RIGHT[name]


def test_two_widths_of_one_recording_agree():
    folder = SHARED / "bad"
    wide = read_audio(folder / "audiomentations_formats__mono_float64.wav").wav
    assert abs(wide - read_audio(folder / "audiomentations_formats__mono_int24.wav").wav).max() < 2**-22


def test_every_good_file_is_accepted_as_the_manifest_describes_it():
    manifest = pd.read_csv(SHARED / "MANIFEST.csv")
    good = manifest[manifest["class"] != "bad"]
    assert len(good) > 100
    for row in good.itertuples():
        audio = read_audio(SHARED / row.path)
        channels, samples = audio.wav.shape
        assert (audio.sample_rate, channels) == (row.sample_rate, row.channels), row.path
        # The manifest's seconds of some MP3s are libsndfile's guess, which counts their tags as audio.
        slack = 0.06 * row.seconds if row.path.endswith(".mp3") else 0.001
        assert abs(samples / audio.sample_rate - row.seconds) <= slack, row.path
