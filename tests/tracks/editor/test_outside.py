"""Gates by ViSQOL, with planted vocoders and with judges that hear nothing."""

import numpy as np
import pytest
import torch

from soundgate.judges.registry import load_judge
from soundgate.runtime.errors import CorpusError
from soundgate.tracks.editor.features import FeatureSettings
from soundgate.tracks.editor.outside.listening import (
    FIGURES,
    GRIFFIN_LIM,
    IDENTITY,
    OTHER_PASSAGE,
    UNTRAINED,
    VISQOL,
    VOCODER,
    listen,
    untrained_vocoder,
)
from soundgate.tracks.editor.outside.passages import draw_passages
from soundgate.tracks.editor.outside.report import report_markdown
from soundgate.tracks.editor.outside.settings import OutsideSettings
from soundgate.tracks.editor.outside.summary import by_system, outside_gates
from soundgate.tracks.editor.outside.trying import try_judge
from soundgate.tracks.editor.pairs.table import read_pairs
from soundgate.tracks.editor.vocoder.model import Vocoder, VocoderNetwork
from soundgate.tracks.editor.vocoder.settings import NetworkSettings
from tests.tracks.editor.recordings import RATE, write_recordings

FEATURES = FeatureSettings()
SETTINGS = OutsideSettings(
    per_song=1, duration_s=1.2, griffin_lim_iterations=4, noise_db=30, more_noise_db=0, n_bootstrap=100,
    thresholds={
        "over_untrained": 0.2, "over_griffin_lim": 0.05, "nsim_over_untrained": 0.05, "nsim_over_griffin_lim": 0.01,
    },
)  # fmt: skip
EVERY = {f"{figure}_over_{control}" for figure in FIGURES for control in (UNTRAINED, GRIFFIN_LIM)}


class Planted(Vocoder):
    """A vocoder whose sound is given by the passages themselves."""

    def __init__(self, passages, make):
        torch.manual_seed(1)
        super().__init__(VocoderNetwork(NetworkSettings(width=16, n_blocks=1), FEATURES))
        self.sounds = iter([make(passage) for passage in passages])

    def __call__(self, unit):
        return next(self.sounds)


@pytest.fixture(scope="module")
def judge():
    return load_judge("similarity")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    write_recordings(folder)
    # Four songs to judge: intervals of two are as wide as anything.
    return read_pairs(folder).assign(split=["train", "test", "test", "test", "test"])


@pytest.fixture(scope="module")
def passages(pairs):
    return draw_passages(pairs, RATE, FEATURES.hop_length, SETTINGS, 0)


def noisy(passage):
    """The truth with 1 % of noise."""
    noise = np.random.default_rng(0).standard_normal(len(passage.truth)) * passage.truth.std() * 0.01
    return (passage.truth + noise).astype(np.float32)


@pytest.fixture(scope="module")
def honest(judge, passages):
    return listen(judge, Planted(passages, noisy), passages, SETTINGS, 0)


def test_passages_are_of_test_songs_and_the_others_are_of_other_songs(pairs, passages):
    assert [one.group for one in passages] == ["g1", "g2", "g3", "g4"]
    for one in passages:
        assert len(one.truth) == len(one.other) == int(1.2 * RATE) // FEATURES.hop_length * FEATURES.hop_length
        assert not np.array_equal(one.truth, one.other)
    again = draw_passages(pairs, RATE, FEATURES.hop_length, SETTINGS, 0)
    assert all(np.array_equal(a.other, b.other) for a, b in zip(again, passages, strict=True))


@pytest.mark.parametrize(
    "change",
    [{"split": "train"}, {"group": "one"}, {"edit_samples": RATE}],
    ids=["no test song", "one song", "too short"],
)
def test_without_passages_it_says_what_is_missing(pairs, change):
    with pytest.raises(CorpusError, match="test song"):
        draw_passages(pairs.assign(**change), RATE, FEATURES.hop_length, SETTINGS, 0)


def test_identity_is_the_upper_end_and_another_passage_the_lower(honest):
    values = honest.table.pivot(index="recording", columns="system", values="visqol_nsim")
    np.testing.assert_allclose(values[IDENTITY], 1, atol=1e-6)
    assert (values[VOCODER] > values[[UNTRAINED, GRIFFIN_LIM, OTHER_PASSAGE]].max(axis=1)).all()
    assert (values[OTHER_PASSAGE] < values[GRIFFIN_LIM]).all()
    rated = honest.table[honest.table["system"] == IDENTITY][VISQOL]
    np.testing.assert_allclose(rated, 4.732, atol=1e-3)


def test_figures_from_the_bands_are_those_of_the_judge(judge, passages, honest):
    one = passages[0]
    scores = judge.compare([one.truth], [one.other], RATE).values
    row = honest.table[(honest.table["recording"] == one.recording) & (honest.table["system"] == OTHER_PASSAGE)]
    assert row[VISQOL].item() == scores["visqol_audio"][0] and row["visqol_nsim"].item() == scores["nsim"][0]
    other = judge.twin(3)
    expected = other.compare([one.truth], [one.other], RATE).values["visqol_audio"][0]
    assert other.rating(honest.bands[row.index[0]]) == expected


def verdicts(judge, heard):
    tried = try_judge(judge, heard, SETTINGS, 0)
    return tried, outside_gates(heard.table, tried, SETTINGS, 0)


def hearing(tried):
    return [one | {"deaf": False} for one in tried]


def test_a_vocoder_near_the_truth_passes_similarity_and_its_opponents_do_not(judge, passages, honest):
    tried, gates = verdicts(judge, honest)
    assert set(gates) == EVERY
    nsim = [one for one in tried if one["figure"] == "visqol_nsim"]
    assert not any(one["deaf"] for one in nsim) and all(one["twin"] is None for one in nsim), nsim
    for name, gate in gates.items():
        if name.startswith("visqol_nsim"):
            assert gate["verdict"] == "pass" and gate["n"] == 4 and gate["control"] < 0, gate
    rated = outside_gates(honest.table, hearing(tried), SETTINGS, 0)["visqol_over_griffin_lim"]
    assert rated["value"] > rated["threshold"] and "deaf" not in rated, rated
    swapped = listen(judge, Planted(passages, lambda one: one.other), passages, SETTINGS, 0)
    broken = outside_gates(swapped.table, hearing(tried), SETTINGS, 0)
    assert {broken[name]["verdict"] for name in EVERY if "nsim" in name} == {"fail"}, broken


def test_the_untrained_vocoder_does_not_pass_above_itself(judge, passages, honest):
    silent = Vocoder(VocoderNetwork(NetworkSettings(width=16, n_blocks=1), FEATURES))
    same = untrained_vocoder(silent, 0)
    heard = listen(judge, same, passages, SETTINGS, 0)
    tried, _ = verdicts(judge, honest)
    gates = outside_gates(heard.table, hearing(tried), SETTINGS, 0)
    assert gates["visqol_over_untrained"]["value"] == gates["visqol_nsim_over_untrained"]["value"] == 0
    assert gates["visqol_over_untrained"]["verdict"] == gates["visqol_nsim_over_untrained"]["verdict"] == "fail"


def test_gates_of_a_figure_that_hears_nothing_cannot_be_judged(judge, honest):
    deaf = honest._replace(table=honest.table.assign(visqol_nsim=0.5))
    tried, gates = verdicts(judge, deaf)
    assert all(one["deaf"] for one in tried if one["figure"] == "visqol_nsim")
    for control in (UNTRAINED, GRIFFIN_LIM):
        gate = gates[f"visqol_nsim_over_{control}"]
        assert gate["verdict"] == "undecided" and "noise at 30 dB" in gate["deaf"]
    found = {
        "judge": tried,
        "systems": {
            name: {figure: estimate.as_dict() for figure, estimate in own.items()}
            for name, own in by_system(deaf.table, 0, 100).items()
        },
    }
    report = report_markdown(found, gates)
    assert "cannot be judged" in report and "| deaf |" in report and "| other_passage |" in report


def test_a_corpus_without_the_band_is_not_judged(judge, passages, monkeypatch):
    monkeypatch.setattr(type(judge), "min_rate", RATE + 1)
    heard = listen(judge, Planted(passages, noisy), passages, SETTINGS, 0)
    tried, gates = verdicts(judge, heard)
    assert all(one["deaf"] and one["value"] is None for one in tried)
    assert {gate["verdict"] for gate in gates.values()} == {"undecided"} and all(
        "deaf" in one for one in gates.values()
    )
