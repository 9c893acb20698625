import numpy as np
import pytest

from soundgate.tracks.editor.edit_list import Tone
from soundgate.tracks.editor.editing.effects import fit_effect, tone_db
from soundgate.tracks.editor.timeline import Effect, effect_runs, from_labels
from soundgate.tracks.editor.vocabulary import Label

BAND_HZ = np.geomspace(30, 10_500, 128)


def spectrogram(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(-30, 6, (40, 1)) + rng.normal(0, 5, (40, 128))


@pytest.mark.parametrize("planted", [(0, 6, 0, 0), (-4, 0, 0, 0), (3, -6, 4, 2), (0, 0, 0, -9)])
def test_a_planted_level_and_tone_are_found(planted):
    raw, noise = spectrogram(), np.random.default_rng(1).normal(0, 1, (40, 128))
    wanted = raw + planted[0] + tone_db(*planted[1:], BAND_HZ, 44_100) + noise
    effect = fit_effect(raw, wanted, BAND_HZ, 44_100)
    tone = effect.tone or Tone()
    found = (20 * np.log10(effect.gain), tone.low_db, tone.mid_db, tone.high_db)
    np.testing.assert_allclose(found, planted, atol=0.5)


def test_what_is_inaudible_is_no_effect():
    raw = spectrogram()
    assert fit_effect(raw, raw + 0.3, BAND_HZ, 44_100) == Effect()
    assert fit_effect(raw[:0], raw[:0], BAND_HZ, 44_100) == Effect()
    assert fit_effect(np.full((9, 128), -80.0), np.full((9, 128), -20.0), BAND_HZ, 44_100) == Effect()


def test_bands_at_the_floor_do_not_count():
    raw = spectrogram()
    raw[:, 100:] = -110
    wanted = raw + 6
    wanted[:, 100:] = -20
    effect = fit_effect(raw, wanted, BAND_HZ, 44_100)
    assert 20 * np.log10(effect.gain) == pytest.approx(6, abs=0.1) and effect.tone is None


def test_a_low_rate_has_a_level_and_no_tone():
    raw = spectrogram()
    effect = fit_effect(raw, raw + 5 + tone_db(6, 0, 0, BAND_HZ, 44_100), BAND_HZ, 8_000)
    assert effect.tone is None and 20 * np.log10(effect.gain) > 5


def test_an_effect_stays_within_the_limits():
    raw = spectrogram()
    effect = fit_effect(raw, raw + 90, BAND_HZ, 44_100)
    assert 20 * np.log10(effect.gain) <= 24.01


def test_every_run_of_effects_has_its_own():
    labels = np.array([Label.EFFECT, Label.EFFECT, Label.CUT, Label.EFFECT, Label.KEEP, Label.EFFECT])
    spans = np.stack([np.arange(6) * 100, np.arange(1, 7) * 100], axis=1)
    assert effect_runs(labels) == [(0, 2), (3, 4), (5, 6)]
    own = {0: Effect(2.0), 3: Effect()}
    first, second, _, third = from_labels(labels, spans, 44_100, Tone(mid_db=3), own).segments
    assert (first.gain, first.tone, first.stop) == (((0, 2), (1, 2)), None, 200)
    assert (second.label, second.start) == ("KEEP", 300)
    assert (third.label, third.tone) == ("EFFECT", Tone(mid_db=3))
