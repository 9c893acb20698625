"""What every judge keeps, tested on every judge."""

import numpy as np
import pytest
import torch

from soundgate.corpora.espeak import SAMPLE_RATE
from soundgate.judges.base import SILENCE
from soundgate.judges.registry import JUDGE_NAMES, load_judge
from soundgate.runtime.errors import ConfigError

RNG = np.random.default_rng(0)
NOISE = (0.1 * RNG.standard_normal(2 * SAMPLE_RATE)).astype(np.float32)


def as_bytes(scores):
    return {name: values.tobytes() for name, values in scores.values.items()}, scores.notes, scores.texts


def test_figures_have_distinct_names_and_a_range(judge):
    figures = [*judge.figures, *judge.pair_figures]
    assert figures and len({figure.name for figure in figures}) == len(figures)
    assert all(figure.low < figure.high and figure.says for figure in figures)
    assert judge.card.never_ask and judge.card.trained_on and judge.card.licence and judge.card.serves


def test_names_are_distinct_among_all_judges(named):
    figures = [one.name for name in JUDGE_NAMES for one in (*named(name).figures, *named(name).pair_figures)]
    assert len(set(figures)) == len(figures)


def test_figures_lie_in_their_ranges(judge, ask, speech):
    scores = ask(judge, speech[None])
    for figure in judge.figures or judge.pair_figures:
        value = scores.values[figure.name][0]
        assert figure.low <= value <= figure.high, figure.name


def test_a_batch_of_ragged_signals_is_each_signal_alone_and_twice_the_same_bytes(judge, ask, speech):
    wavs = [speech, NOISE[:30_000], np.zeros(40_000, np.float32)]
    batch = ask(judge, wavs)
    single = [ask(judge, [wav]) for wav in wavs]
    for name, values in batch.values.items():
        assert values.tobytes() == np.concatenate([one.values[name] for one in single]).tobytes()
    assert batch.notes == tuple(one.notes[0] for one in single)
    assert as_bytes(ask(judge, wavs[::-1]))[1] == batch.notes[::-1]
    assert as_bytes(ask(judge, wavs)) == as_bytes(batch)


def test_another_load_gives_the_same_bytes_and_a_tensor_too(judge, ask, speech):
    wav = speech[None, :SAMPLE_RATE]
    expected = as_bytes(ask(judge, wav))
    np.random.seed(1)
    torch.manual_seed(1)
    assert as_bytes(ask(load_judge(judge.name), torch.from_numpy(wav))) == expected


def test_silence_has_no_figure_and_says_so(judge, ask):
    scores = ask(judge, np.zeros((1, 2 * SAMPLE_RATE), np.float32))
    assert SILENCE in scores.notes[0]
    assert all(np.isnan(values).all() for values in scores.values.values())


@pytest.mark.parametrize(
    ("wav", "kind", "said"),
    [
        (NOISE.astype(np.float64)[None], TypeError, r"wav\[0\]|reference\[0\]"),
        (NOISE, ValueError, r"expected \[B, T\]; found shape"),
        (NOISE[None, None], ValueError, r"expected \[B, T\]; found shape"),
        (np.zeros((0, 9), np.float32), ValueError, "expected at least one signal; found none"),
        (np.zeros((1, 0), np.float32), ValueError, "expected .T. with T >= 1; found shape"),
        (np.where(np.arange(len(NOISE)) == 5, np.nan, NOISE)[None], ValueError, "expected finite values; found 1"),
        (NOISE[None, :100], ValueError, r"expected at least [\d.]+ s; found 0.00454 s"),
    ],
)
def test_wrong_input_is_refused_with_what_was_expected_and_found(judge, ask, wav, kind, said):
    with pytest.raises(kind, match=said):
        ask(judge, wav)


def test_a_rate_below_the_band_is_refused(judge, ask):
    with pytest.raises(ValueError, match=rf"sample_rate: .* expected at least {judge.min_rate} Hz; found 4000"):
        ask(judge, NOISE[None], 4_000)


def test_a_judge_of_one_signal_refuses_two_and_the_other_way_round(judge):
    if not judge.figures:
        with pytest.raises(ValueError, match="expected a reference"):
            judge.score(NOISE[None], SAMPLE_RATE)
    if not judge.pair_figures:
        with pytest.raises(ValueError, match="expected one signal; found a pair"):
            judge.compare(NOISE[None], NOISE[None], SAMPLE_RATE)


@pytest.mark.parametrize("name", ["pitch", "notes", "similarity"])
def test_pairs_that_do_not_belong_together_are_refused(named, name):
    with pytest.raises(ValueError, match="expected the references' lengths"):
        named(name).compare(NOISE[None], NOISE[None, 1:], SAMPLE_RATE)
    with pytest.raises(ValueError, match="expected 1 signals, as many as references; found 2"):
        named(name).compare(NOISE[None], np.stack([NOISE, NOISE]), SAMPLE_RATE)


@pytest.mark.parametrize("name", JUDGE_NAMES)
def test_the_twin_judges_otherwise_and_is_keyed_by_its_seed(named, ask, speech, name):
    judge = named(name)
    if not judge.figures:
        pair = speech[None], (speech + NOISE[: len(speech)])[None]
        first, second, again = (one.compare(*pair, SAMPLE_RATE) for one in (judge, judge.twin(0), judge.twin(0)))
    else:
        first, second, again = (ask(one, speech[None]) for one in (judge, judge.twin(0), judge.twin(0)))
    assert as_bytes(second) == as_bytes(again)
    assert as_bytes(first) != as_bytes(second)


def test_an_unknown_judge_is_refused():
    with pytest.raises(ConfigError, match="expected one of speaker, quality"):
        load_judge("taste")
