import logging
import os

import numpy as np
import pytest
import soundfile

from soundgate.runtime.errors import WeightsError
from soundgate.tracks.transfer.transferring.file import Options, prepare, transfer_file, transfer_with
from soundgate.tracks.transfer.transferring.recordings import open_recording
from soundgate.tracks.transfer.transferring.windows import Windows, in_windows

from .own_models import write_models
from .recordings import RATE, noise, notes, write


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    return folder


@pytest.fixture
def work(tmp_path, models, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("data", "params.yaml"):
        os.symlink(models / name, tmp_path / name)
    write("b.wav", notes([62, 65, 69, 57], seconds=1.0))
    return tmp_path


def test_windows_that_change_nothing_leave_no_seam(work):
    wav = np.concatenate([noise(4, -2), -0.25 * noise(4, -2)])
    write("a.wav", wav)
    source = open_recording("a.wav", work)
    for block in (5_000, 2**18):
        parts = in_windows(source, Windows(RATE, 10_000, 1_000, coherent=True), np.copy, block)
        made = np.concatenate([*parts]).T
        # The mean of both channels, each at its own level.
        np.testing.assert_allclose(made[0] / made[1], 4, rtol=1e-3)
        assert np.corrcoef(made[0], wav[0])[0, 1] > 0.99 and made.shape == wav.shape


def test_windows_that_have_no_waves_in_common_keep_their_power(work):
    write("a.wav", noise(20, 0))
    generator = np.random.default_rng(0)
    windows = Windows(RATE, 20_000, 4_000, coherent=False)
    made = in_windows(
        open_recording("a.wav", work), windows, lambda wav: generator.normal(size=len(wav)).astype(np.float32)
    )
    wav = np.concatenate([*made])[:, 0]
    levels = np.square(wav[: len(wav) // 1_000 * 1_000]).reshape(-1, 1_000).mean(axis=1)
    fades = np.arange(len(levels)) % 16 < 4
    assert np.median(levels[fades][4:]) == pytest.approx(np.median(levels[~fades]), rel=0.15)


def test_an_untrained_translator_changes_nothing(work):
    rate = 24_000
    wav = 0.2 * noise(12, -4, rate=rate)
    write("a.wav", wav, rate)
    transfer_file("a.wav", "out.wav", "b.wav", "codec", profile="tiny")
    made = soundfile.read("out.wav")[0]
    assert len(made) == wav.shape[1]
    error = np.square(made - wav[0]).reshape(-1, 1_000).mean(axis=1) / np.square(wav).mean()
    # At no border of a window is it further off than elsewhere.
    assert error[1:-1].max() < 2 * np.median(error) and np.corrcoef(made, wav[0])[0, 1] > 0.9


@pytest.mark.parametrize("path", ["codec", "mel"])
def test_trained_paths_keep_format_length_sides_and_loudness(work, path, caplog):
    wav = noise(7, -3, rate=44_100)
    write("a.flac", np.concatenate([wav, 0.5 * wav, 0 * wav]), 44_100, "PCM_24")
    for block in (9_999, 2**18):
        figures = transfer_with(prepare("b.wav", "tiny", Options(path)), work / "a.flac", work / f"{block}.flac", block)
    made, other = (soundfile.read(f"{block}.flac")[0].T for block in (9_999, 2**18))
    assert made.shape == (3, wav.shape[1]) and not made[2].any()
    np.testing.assert_allclose(made, other, atol=1e-3)
    np.testing.assert_allclose(made[1], 0.5 * made[0], atol=1e-3)
    level = figures["level"]
    assert level["result_lufs"] == pytest.approx(level["source_lufs"] - level["short_db"], abs=0.01)


def test_models_that_are_not_there_are_named_with_what_makes_them(work):
    with pytest.raises(WeightsError, match="--path mel: expected trained models") as raised:
        transfer_file("b.wav", "out.wav", "b.wav", "mel", profile="real")
    assert "soundgate repro profile=real --track transfer" in str(raised.value)
    assert "data/real/transfer/content" in raised.value.found and not os.path.exists("out.wav")


def test_what_a_path_cannot_hold_is_said(work, caplog):
    logger = logging.getLogger("soundgate")
    logger.setLevel(logging.INFO)
    logger.addHandler(caplog.handler)
    write("a.wav", noise(2, rate=48_000), 48_000)
    transfer_file("a.wav", "out.wav", "b.wav", "mel", profile="tiny")
    logger.removeHandler(caplog.handler)
    assert "by mel nothing above 11025 Hz is in the result" in caplog.text
