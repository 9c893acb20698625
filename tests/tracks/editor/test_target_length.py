"""Recordings at another length: which bars are played, and what that costs."""

import numpy as np
import pytest

from soundgate.runtime.errors import ConfigError
from soundgate.tracks.editor.deciding.bars import Bars, find_bars, find_sections
from soundgate.tracks.editor.deciding.fitting import Fit, Reach, fit, join_costs
from soundgate.tracks.editor.deciding.hearing import hear
from soundgate.tracks.editor.deciding.target import fit_to_length

RATE, BEAT = 22_050, 11_025
FREE = np.zeros(16, bool)


def chord(seed, n_beats):
    """A chord of a bar, struck on its first beat, over a drum on each."""
    rng = np.random.default_rng(seed)
    t = np.arange(n_beats * BEAT) / RATE
    tones = sum(np.sin(2 * np.pi * 220 * 2 ** (pitch / 12) * t) for pitch in rng.choice(24, 3, replace=False))
    within = np.tile(np.arange(BEAT) / RATE, n_beats)
    drum = np.random.default_rng(0).normal(size=len(t)) * np.exp(-60 * within)
    return 0.1 * tones * np.exp(-t) + 0.05 * drum


def song(plan, metre=4, lead_in=0):
    """Bars by their numbers: equal numbers sound alike."""
    wave = np.concatenate([np.zeros(0), *(chord(99, lead_in) for _ in range(lead_in > 0)),
                           *(chord(number, metre) for number in plan)])  # fmt: skip
    spans = np.arange(len(wave) // BEAT + 1) * BEAT
    return wave.astype(np.float32), np.stack([spans[:-1], spans[1:]], axis=1)


@pytest.mark.parametrize(("metre", "lead_in"), [(4, 0), (3, 0), (4, 3), (3, 1)])
def test_bars_have_the_metre_and_the_downbeat_that_is_heard(metre, lead_in):
    wave, spans = song(range(16), metre, lead_in)
    bars = find_bars(hear(wave, RATE), spans / RATE)
    assert bars.metre == metre
    # What lies before the first downbeat belongs to the first bar.
    assert np.all((bars.edges[1:-1] - lead_in) % metre == 0) and bars.edges[-1] == len(spans)


@pytest.mark.parametrize("n_beats", [1, 2, 5])
def test_few_beats_are_a_bar(n_beats):
    wave = chord(0, n_beats).astype(np.float32)
    spans = np.stack([np.arange(n_beats), np.arange(n_beats) + 1], axis=1) * BEAT
    bars = find_bars(hear(wave, RATE), spans / RATE)
    assert bars.edges[0] == 0 and bars.edges[-1] == n_beats and np.all(np.diff(bars.edges) > 0)
    assert len(find_sections(bars)) == 1


def test_sections_that_come_again_have_one_name():
    verse, chorus, bridge = [0, 0, 1, 0] * 2, [20, 20, 21, 20] * 2, [40, 40, 41, 40] * 2
    wave, spans = song([*verse, *chorus, *verse, *chorus, *bridge])
    sections = find_sections(find_bars(hear(wave, RATE), spans / RATE))
    names = np.concatenate([[own.name] * (own.last - own.first) for own in sections])
    assert len(names) == 40
    np.testing.assert_array_equal(names[:8], names[16:24])
    np.testing.assert_array_equal(names[8:16], names[24:32])
    assert len({names[4], names[12], names[36]}) == 3


def flat(n_bars=16, cost=1.0):
    costs = np.full((n_bars, n_bars), cost)
    costs[np.arange(n_bars - 1), np.arange(1, n_bars)] = 0
    return costs


def test_a_shorter_length_leaves_out_what_is_heard_least():
    costs = flat()
    costs[4, 11] = 0.1
    found = fit(costs, np.full(16, 2.0), 20.0, FREE)
    assert found.bars.tolist() == [0, 1, 2, 3, 4, 11, 12, 13, 14, 15] and found.seconds == 20


def test_a_longer_length_goes_back_where_it_is_heard_least():
    costs = flat()
    costs[11, 4] = 0.1
    found = fit(costs, np.full(16, 2.0), 48.0, FREE)
    assert found.bars.tolist() == [*range(12), *range(4, 16)]


def test_bars_of_unlike_lengths_are_counted_in_seconds():
    lengths = np.random.default_rng(0).uniform(1.6, 2.4, 40)
    for target in (30.0, 50.0, 120.0):
        found = fit(flat(40), lengths, target, np.zeros(40, bool))
        assert found.seconds == pytest.approx(lengths[found.bars].sum())
        assert abs(found.seconds - target) <= np.median(lengths)
        assert found.bars[0] == 0 and found.bars[-1] == 39


def test_few_joins_beat_many_and_bars_between_them_are_four():
    costs = flat(32)
    found = fit(costs, np.full(32, 2.0), 32.0, np.zeros(32, bool))
    assert np.sum(np.diff(found.bars) != 1) == 1
    joins = np.flatnonzero(np.diff(found.bars) != 1)
    assert joins[0] >= 3 and len(found.bars) - 1 - joins[-1] >= 4


def test_bars_that_are_needed_stay_and_what_cannot_be_reached_is_said():
    needed = FREE.copy()
    needed[6:9] = True
    found = fit(flat(), np.full(16, 2.0), 16.0, needed)
    assert isinstance(found, Fit) and {0, 6, 7, 8, 15} <= set(found.bars)
    assert fit(flat(), np.full(16, 2.0), 4.0, needed) == Reach(10.0, 128.0)
    assert fit(flat(), np.full(16, 2.0), 500.0, FREE) == Reach(4.0, 128.0)
    assert fit(flat(), np.full(16, 2.0), 31.5, FREE).bars.tolist() == list(range(16))


def test_a_join_of_bars_that_sound_alike_costs_little():
    wave, spans = song([0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7])
    bars = find_bars(hear(wave, RATE), spans / RATE)
    costs = join_costs(Bars(*bars))
    # From the end of 0 1 2 3 to behind its second playing, and into the midst of what is unlike it.
    assert costs[3, 8] < costs[3, 10] and costs[0, 1] == 0


def test_what_is_played_is_whole_bars_of_what_is_kept():
    wave, spans = song([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5])
    kept = np.ones(len(spans), bool)
    kept[:4] = False
    made = fit_to_length(wave, spans, kept, RATE, 18.0, False)
    assert made.edit.output_samples / RATE == pytest.approx(18, abs=2)
    assert not made.plays[:4].any() and made.plays.sum() == made.edit.output_samples // BEAT
    assert all(segment.start % (4 * BEAT) == 0 for segment in made.edit.segments)
    longer = fit_to_length(wave, spans, kept, RATE, 40.0, True)
    assert longer.edit.output_samples / RATE == pytest.approx(40, abs=2) and longer.plays.max() > 1
    with pytest.raises(ConfigError, match="0:04 to 1:44 for this recording; found 3:00"):
        fit_to_length(wave, spans, kept, RATE, 180.0, False)


def test_the_structure_is_kept():
    verse, chorus, bridge = [0, 0, 1, 0] * 2, [20, 20, 21, 20] * 2, [40, 40, 41, 40] * 2
    wave, spans = song([*verse, *chorus, *verse, *chorus, *bridge])
    kept = np.ones(len(spans), bool)
    made = fit_to_length(wave, spans, kept, RATE, 44.0, True)
    played = np.flatnonzero(made.plays) // 4
    assert {*range(8), *range(32, 40)} <= set(played) and {*range(8, 12)} <= set(played)
    with pytest.raises(ConfigError, match="without --keep-structure it may be shorter"):
        fit_to_length(wave, spans, kept, RATE, 20.0, True)
    assert fit_to_length(wave, spans, kept, RATE, 20.0, False).edit.output_samples / RATE == pytest.approx(20, abs=2)
