import json

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from soundgate.audio.io import read_audio
from soundgate.audio.loudness import loudness_lufs
from soundgate.runtime.errors import CorpusError
from soundgate.tracks.voice.audit.pitch import mean_f0_hz
from soundgate.tracks.voice.features import track_f0
from soundgate.tracks.voice.samples.coherence import coherence
from soundgate.tracks.voice.samples.generate import Samples, generate_evaluation_samples
from soundgate.tracks.voice.samples.levels import write_matched
from soundgate.tracks.voice.samples.settings import SamplesSettings
from soundgate.tracks.voice.samples.steadiness import coherence_picture, summarise
from tests.browser import browser_page, needs_chromium

from .planted_voices import HOP, PITCH_HZ, RATE, FormantJudge, say, write_planted_cache
from .tiny_converter import tiny_converter

SETTINGS = SamplesSettings(
    num_samples=3, n_long=1, n_targets=2, n_enrolment=1, duration_s=1.5, long_s=8, window_s=1, loudness_lufs=-26
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return write_planted_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def pack(cache, tmp_path_factory):
    folder, model = tmp_path_factory.mktemp("pack"), tiny_converter()
    model.train()
    samples = generate_evaluation_samples(model, cache, "cpu", folder, 3, encoder=FormantJudge(), settings=SETTINGS)
    assert model.training, "the model is given back as it came"
    return folder, samples


def read(path):
    return read_audio(path, mono=True).wav[0]


def test_every_sample_has_what_the_seed_lists(pack, cache):
    folder, (summary, _) = pack
    assert sorted(path.name for path in folder.glob("sample_*")) == [f"sample_{number:03d}" for number in range(3)]
    for sample in folder.glob("sample_*"):
        facts = json.loads((sample / "metadata.json").read_text())
        files = {"original.wav", "reconstruction.wav", "metadata.json"}
        files |= {f"converted_to_{target}.{kind}" for target in facts["targets"] for kind in ("wav", "png")}
        files |= {f"converted_to_{t}_by_{method}.wav" for t in facts["targets"] for method in ("world_ot", "knn")}
        assert {path.name for path in sample.iterdir()} == files
        assert facts["source"] not in facts["targets"] and len(facts["targets"]) == 2
        assert set(facts["targets"]) | {facts["source"]} == {"ann", "bob", "cat"}, "nobody trained on them"
        lengths = {len(read(path)) for path in sample.glob("*.wav")}
        assert lengths == {round(facts["duration_s"] * RATE)}
        known = cache.table.set_index("utterance").loc[facts["utterances"]]
        assert set(known["speaker"]) == {facts["source"]}
    assert len(summary) == 6 and summary["source"].nunique() == 3
    for row in summary.itertuples():
        pitch = mean_f0_hz(track_f0(read(folder / row.knn), cache.settings))
        assert pitch == pytest.approx(PITCH_HZ[row.target], rel=0.05)
    picture = matplotlib.image.imread(folder / summary["picture"][0])[..., :3]
    assert picture.std() > 0.1


def test_the_original_is_the_utterance_but_for_its_level(pack, cache):
    folder, _ = pack
    facts = json.loads((folder / "sample_000/metadata.json").read_text())
    true, _ = say(facts["utterances"][0], facts["source"], 2 * RATE)
    written = read(folder / "sample_000/original.wav")
    start = (2 * RATE - len(written)) // HOP // 2 * HOP
    assert np.corrcoef(written, true[start : start + len(written)])[0, 1] > 0.9999


def test_a_long_form_sample_joins_utterances_and_is_followed_over_time(pack):
    folder, (summary, _) = pack
    facts = json.loads((folder / "sample_002/metadata.json").read_text())
    assert facts["kind"] == "long-form" and facts["duration_s"] >= 7.9 and len(set(facts["utterances"])) >= 4
    assert set(facts["coherence"]) == {"original", "reconstruction", *(f"converted_to_{t}" for t in facts["targets"])}
    assert facts["coherence"]["original"]["mean"] > 0.9 and facts["coherence"]["original"]["n_windows"] >= 14
    windows = pd.read_csv(folder / "coherence.csv")
    assert set(windows["sample"]) == {"sample_002"} and windows["start_s"].max() >= 6.5
    assert summary["drift"].notna().tolist() == [False] * 4 + [True] * 2


def test_files_are_equally_loud_and_the_metadata_says_so(pack):
    folder, _ = pack
    for path in folder.glob("sample_*/*.wav"):
        level = json.loads((path.parent / "metadata.json").read_text())["levels"][path.stem]
        measured = loudness_lufs(read(path), RATE)
        assert measured == pytest.approx(level["loudness_lufs"], abs=0.05)
        assert measured + level["short_of_db"] == pytest.approx(-26, abs=0.1)


def test_clipping_is_reported_and_never_made(tmp_path):
    wav = (1.3 * np.sin(np.arange(RATE) * 0.2)).astype(np.float32)
    level = write_matched(tmp_path / "a.wav", wav, RATE, -30.0)
    assert level["clipped_samples"] == np.count_nonzero(np.abs(wav) >= 1) > 100 and level["short_of_db"] == 0
    click = np.zeros(2 * RATE, np.float32)
    click[::4000] = 0.5
    level = write_matched(tmp_path / "b.wav", click, RATE, -16.0)
    assert level["clipped_samples"] == 0 and level["short_of_db"] > 1
    assert np.abs(read(tmp_path / "b.wav")).max() <= 0.991
    assert level["loudness_lufs"] == pytest.approx(-16 - level["short_of_db"], abs=0.2)
    assert write_matched(tmp_path / "c.wav", np.zeros(RATE, np.float32), RATE, -16.0)["loudness_lufs"] is None


class Loudness(nn.Module):
    """An encoder whose similarity with [1, 0] is the cosine of a window's mean square."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, wav):
        angle = self.scale * wav.square().mean(dim=1)
        return functional.normalize(torch.stack([angle.cos(), angle.sin()], dim=1), dim=1)


def test_coherence_has_the_mean_spread_and_drift_that_were_planted():
    angles = np.repeat(np.linspace(0.4, 0.8, 8), RATE)
    steady = coherence(Loudness(), np.full(8 * RATE, np.sqrt(0.5)), np.array([1.0, 0.0]), RATE, 1.0).as_dict()
    assert steady["mean"] == pytest.approx(np.cos(0.5)) and steady["n_windows"] == 15
    assert abs(steady["drift"]) < 1e-4 and steady["spread"] < 1e-4
    turning = coherence(Loudness(), np.sqrt(angles), np.array([1.0, 0.0]), RATE, 1.0).as_dict()
    assert turning["drift"] == pytest.approx(np.cos(0.8) - np.cos(0.4), abs=0.02)
    assert turning["lowest"] == pytest.approx(np.cos(0.8), abs=1e-4)
    silent = coherence(Loudness(), np.zeros(4 * RATE), np.array([1.0, 0.0]), RATE, 1.0).as_dict()
    assert silent["n_windows"] == 0 and silent["mean"] is None


def test_steadiness_is_told_by_kind_of_file(pack, tmp_path):
    _, samples = pack
    found = summarise(samples)
    assert found["n_samples"] == 3 and found["n_conversions"] == 6 and found["clipped_samples"] == 0
    assert list(found["coherence"]) == ["original", "reconstruction", "converted"]
    spreads = samples.conversions["spread"].dropna()
    assert found["coherence"]["converted"]["spread"] == pytest.approx(spreads.mean())
    for windows in (samples.windows, samples.windows[:0]):
        coherence_picture(tmp_path / "p.png", windows)
        assert matplotlib.image.imread(tmp_path / "p.png")[..., :3].std() > 0.01
    assert summarise(Samples(samples.conversions, samples.windows[:0]))["coherence"] == {}


@pytest.mark.parametrize("name", ["a$b_{$", "100 $"])
def test_samples_and_voices_may_have_any_name(tmp_path, name):
    windows = pd.DataFrame({"sample": name, "voice": name, "start_s": [0.0, 1.0], "similarity": [0.5, 0.6]})
    coherence_picture(tmp_path / "p.png", windows)
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_silent_windows_say_nothing():
    wav = np.full(4 * RATE, 0.5)
    wav[RATE : 2 * RATE] = 0
    heard = coherence(Loudness(), wav, np.array([1.0, 0.0]), RATE, 1.0)
    assert 1.0 not in heard.start_s.tolist() and len(heard.start_s) == 6


def test_the_same_call_writes_the_same_bytes(pack, cache, tmp_path):
    folder, _ = pack
    generate_evaluation_samples(tiny_converter(), cache, "cpu", tmp_path, 3, encoder=FormantJudge(), settings=SETTINGS)
    for path in folder.rglob("*.*"):
        assert (tmp_path / path.relative_to(folder)).read_bytes() == path.read_bytes(), path


def test_a_single_speaker_cannot_be_converted(tmp_path):
    alone = write_planted_cache(tmp_path, unseen=("ann",))
    with pytest.raises(CorpusError, match="two speakers of split test"):
        generate_evaluation_samples(tiny_converter(), alone, "cpu", tmp_path / "out", 1, settings=SETTINGS)


@needs_chromium
def test_the_page_plays_every_file(pack):
    folder, _ = pack
    with browser_page() as page:
        page.goto(f"file://{folder}/samples.html")
        for article in page.locator("article").all():
            article.scroll_into_view_if_needed()
        page.wait_for_function(
            "[...document.querySelectorAll('audio, img')]"
            ".every((a) => a.tagName === 'IMG' ? a.complete && a.naturalWidth : a.readyState >= 1)"
        )
        durations = page.eval_on_selector_all("audio", "all => all.map((audio) => audio.duration)")
        assert len(durations) == 6 * 6 and min(durations) > 1
        page.select_option("[data-filter=Kind]", label="long-form")
        assert page.inner_text("#shown") == "2 of 6 samples"
        assert not page.thrown
