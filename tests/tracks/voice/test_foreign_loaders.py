"""Embeddings and samples of loaders that know nothing of this repository, against those of its own cache."""

import json
from collections import namedtuple
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from soundgate.audio.io import read_audio, resample
from soundgate.audio.loudness import loudness_lufs
from soundgate.runtime.errors import CorpusError
from soundgate.tracks.voice.embeddings.analysis import analyze_embeddings, embed_batches
from soundgate.tracks.voice.embeddings.embed import utterance_batches
from soundgate.tracks.voice.samples.generate import generate_evaluation_samples
from soundgate.tracks.voice.samples.identity import weights_hash
from soundgate.tracks.voice.samples.settings import SamplesSettings

from .planted_voices import RATE, FormantJudge, write_planted_cache
from .test_loading import EQUAL, pad
from .tiny_converter import tiny_converter

CROP_S = 1.9
SETTINGS = SamplesSettings(
    num_samples=2, n_long=1, n_targets=2, n_enrolment=1, duration_s=1.0, long_s=8, window_s=1, loudness_lufs=-26
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return write_planted_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def items(cache):
    rows = cache.rows("test")
    (batch,) = utterance_batches(cache, rows, CROP_S)
    return list(zip(batch.wav, cache.table["speaker"][rows], strict=True))


def collated(kind, items):
    waves, names = zip(*items, strict=True)
    return EQUAL[kind](torch.stack(waves), list(names))


@pytest.mark.parametrize("kind", EQUAL)
def test_loaders_of_any_form_give_what_the_cache_gives(kind, cache, items, tmp_path):
    model = FormantJudge()
    own = utterance_batches(cache, cache.rows("test"), CROP_S)
    options = {"visualize": False, "n_bootstrap": 20}
    expected = analyze_embeddings(model, own, "cpu", tmp_path / "own", **options)
    loader = DataLoader(items, batch_size=18, collate_fn=partial(collated, kind))
    assert analyze_embeddings(model, loader, "cpu", tmp_path / "other", **options) == expected
    assert expected["n_speakers"] == 3 and expected["separation"] > 0.3
    one, two = ((tmp_path / name / "similarities.csv").read_bytes() for name in ("own", "other"))
    assert one == two


def test_padding_is_not_heard(items):
    waves = [wav[: 9_000 + 700 * (number % 4)] for number, (wav, _) in enumerate(items)]
    batch = {"wav": pad(waves), "lengths": [len(wav) for wav in waves], "speaker": [name for _, name in items]}
    found, speakers = embed_batches(FormantJudge(), [batch], "cpu", 100)
    assert speakers.tolist() == batch["speaker"]
    for wav, vector in zip(waves, found, strict=True):
        np.testing.assert_allclose(FormantJudge()(wav[None])[0].detach().numpy(), vector, atol=1e-6)


Output = namedtuple("Output", "logits embeddings")
OUTPUTS = {
    "vectors": lambda own: own,
    "array": lambda own: own.numpy(),
    "not of unit length": lambda own: 7 * own,
    "dictionary": lambda own: {"logits": own[:, :4], "xvector": own},
    "one of a dictionary": lambda own: {"anything": own, "names": ["x"]},
    "named tuple": lambda own: Output(own[:, :4], own),
    "pair": lambda own: (own, None),
    "with a dimension for time": lambda own: own[:, None],
    "half": lambda own: own.double(),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_models_of_any_output_and_functions_give_their_vectors(kind, items):
    batches = [EQUAL["pair"](torch.stack([wav for wav, _ in items]), [name for _, name in items])]
    with torch.no_grad():
        expected = FormantJudge()(batches[0][0]).numpy()
        found, _ = embed_batches(lambda wav: OUTPUTS[kind](FormantJudge()(wav).detach()), batches, "cpu", 100)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_output_that_could_be_two_vectors_is_refused(items):
    batch = collated("pair", items)
    with pytest.raises(CorpusError, match=r"one embedding \[18, D\].*found tuple of 2 \(float32 \[18, 128, 3\]"):
        embed_batches(lambda wav: (torch.zeros(18, 128, 3), torch.zeros(18, 128, 3)), [batch], "cpu", 100)
    with pytest.raises(CorpusError, match="one embedding"):
        embed_batches(lambda wav: (torch.zeros(18, 8), torch.zeros(18, 8)), [batch], "cpu", 100)


class Mean(nn.Module):
    """Two numbers for an utterance, from its first two samples; counts what it hears."""

    def __init__(self):
        super().__init__()
        self.norm, self.n_heard, self.modes = nn.BatchNorm1d(2).eval(), 0, set()

    def forward(self, wav):
        self.n_heard += len(wav)
        self.modes.add(self.training)
        return wav[:, :2]


def long_loader(n_batches, size=20, n_speakers=7):
    for number in range(n_batches):
        at = size * number + np.arange(size)
        wav = torch.ones(size, 400)
        wav[:, 0] = torch.from_numpy(at).float()
        yield {"wav": wav, "speaker": [f"s{own % n_speakers}" for own in at]}


def test_of_a_long_loader_some_of_every_speaker_are_kept_and_few_are_embedded():
    model = Mean().train()
    model.norm.eval()
    found, speakers = embed_batches(model, long_loader(500), "cpu", 1_000, per_speaker=10)
    assert np.unique(speakers, return_counts=True)[1].tolist() == [10] * 7
    # Of each speaker's 1429 utterances 10 (1 + log(1429 / 10)) are expected to be drawn.
    assert 70 < model.n_heard < 700 and model.modes == {False}
    assert model.training and not model.norm.training
    again, _ = embed_batches(Mean(), long_loader(500), "cpu", 1_000, per_speaker=10)
    np.testing.assert_array_equal(found, again)
    some, whose = embed_batches(Mean(), long_loader(500), "cpu", 35, per_speaker=10)
    assert len(some) == 30 and len(set(whose)) == 3


def test_every_utterance_of_a_long_loader_is_as_likely():
    model = Mean()
    numbers = []
    for seed in range(60):
        found, _ = embed_batches(model, long_loader(20, n_speakers=2), "cpu", 100, per_speaker=5, seed=seed)
        numbers += (found[:, 0] / found[:, 1]).tolist()
    numbers = np.sort(numbers)
    assert len(numbers) == 600
    # Kolmogorov's distance from the uniform distribution; beyond 1.63 / sqrt(600) once in a hundred.
    distance = np.abs(numbers / 400 - (np.arange(600) + 0.5) / 600).max()
    assert distance < 0.067


def test_without_a_draw_a_loader_is_left_where_it_is_enough():
    batches = long_loader(500)
    found, _ = embed_batches(Mean(), batches, "cpu", 50)
    assert len(found) == 50 and next(batches)["wav"][0, 0] == 60


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_embeddings_that_say_nothing_are_refused_with_their_number(value):
    def broken(wav):
        return torch.where(wav[:, :1] % 8 == 1, value, wav[:, :2] + 1)

    with pytest.raises(CorpusError, match=r"5 of 40 with NaN or infinity or all zero \(speakers s1, s2, s3"):
        embed_batches(broken, long_loader(2), "cpu", 100)


def test_too_few_speakers_or_utterances_say_why(tmp_path):
    for n_speakers, found in ((1, "1 speakers, at most 40"), (40, "40 speakers, at most 1 utterances")):
        with pytest.raises(CorpusError, match=f"{found}.*sorted by speaker needs per_speaker"):
            analyze_embeddings(Mean(), long_loader(2, n_speakers=n_speakers), "cpu", tmp_path)
    with pytest.raises(CorpusError, match="found none"):
        analyze_embeddings(Mean(), [], "cpu", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def pack(items, tmp_path_factory):
    folder, loud = tmp_path_factory.mktemp("pack"), 3.0
    dataset = [
        {"audio": loud * resample(wav[None].numpy(), RATE, 22_050)[0], "speaker_id": f"{name}/1", "sr": 22_050}
        for wav, name in items
    ]
    loader = DataLoader(dataset, batch_size=5, shuffle=True, generator=torch.Generator().manual_seed(0))
    model = tiny_converter()
    made = generate_evaluation_samples(model, loader, "cpu", folder, 2, encoder=FormantJudge(), settings=SETTINGS)
    return folder, model, made.conversions


def test_samples_of_a_foreign_loader_are_those_of_a_cache(pack):
    folder, model, summary = pack
    assert len(summary) == 4 and set(summary["source"]) | set(summary["target"]) == {"ann/1", "bob/1", "cat/1"}
    table = pd.read_csv(folder / "summary.csv")
    assert set(table["model"]) == {weights_hash(model)} and set(table["seed"]) == {0}
    for row in table.to_dict("records"):
        made = read_audio(folder / row["converted"])
        assert made.sample_rate == RATE and made.wav.shape[1] / RATE == pytest.approx(row["seconds"], abs=1e-3)
        assert loudness_lufs(made.wav[0], RATE) == pytest.approx(row["loudness_lufs"], abs=0.05)
        facts = json.loads((folder / row["metadata"]).read_text())
        assert facts["model"] == weights_hash(model) and facts["utterances"][0].startswith("utterance 0000")
        # The listener hears in the original whom the loader said.
        heard = facts["similarity"]["original"]
        assert max(heard, key=heard.get) == row["source"]
    assert (folder / "samples.html").is_file()


def test_a_hash_is_of_the_weights():
    assert weights_hash(tiny_converter()) == weights_hash(tiny_converter()) != weights_hash(tiny_converter(1))


def test_a_loader_without_voices_makes_no_samples(items, tmp_path):
    silent = [{"wav": 0 * torch.stack([wav for wav, _ in items]), "speaker": [name for _, name in items]}]
    few = [{"wav": torch.stack([wav for wav, _ in items[:8]]), "speaker": [name for _, name in items[:8]]}]
    for loader, counts in ((silent, r"3 speakers among 18 utterances, with \[0, 0, 0\]"), (few, r"2 .*\[6, 2\]")):
        with pytest.raises(CorpusError, match=counts):
            generate_evaluation_samples(tiny_converter(), loader, "cpu", tmp_path / "out", 1, settings=SETTINGS)
    assert not (tmp_path / "out").exists()
