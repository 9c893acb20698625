import numpy as np
import pytest
import soxr

from soundgate.tracks.editor import beats, rendering
from soundgate.tracks.editor.beats import TRACKING_RATE, track_beats
from soundgate.tracks.editor.edit_list import EditList, Segment, Tone
from soundgate.tracks.editor.editing import generate, inputs
from soundgate.tracks.editor.editing.effects import fit_effect
from soundgate.tracks.editor.editing.generate import channel_gains, frames_of_edit, generate_pieces, spoken
from soundgate.tracks.editor.editing.inputs import mono_mix
from soundgate.tracks.editor.features import Features, FeatureSettings
from soundgate.tracks.editor.timeline import Effect, effect_runs, from_labels, tone_db
from soundgate.tracks.editor.vocabulary import Label

BAND_HZ = np.geomspace(30, 10_500, 128)


def equalised(low_db, mid_db, high_db):
    return tone_db(Tone(low_db=low_db, mid_db=mid_db, high_db=high_db), BAND_HZ, 44_100)


def spectrogram(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(-30, 6, (40, 1)) + rng.normal(0, 5, (40, 128))


@pytest.mark.parametrize("planted", [(0, 6, 0, 0), (-4, 0, 0, 0), (3, -6, 4, 2), (0, 0, 0, -9)])
def test_a_planted_level_and_tone_are_found(planted):
    raw, noise = spectrogram(), np.random.default_rng(1).normal(0, 1, (40, 128))
    wanted = raw + planted[0] + equalised(*planted[1:]) + noise
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
    effect = fit_effect(raw, raw + 5 + equalised(6, 0, 0), BAND_HZ, 8_000)
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


def kept(n_samples, rate=44_100, *segments):
    return EditList(sample_rate=rate, n_samples=n_samples, segments=segments or (segment("KEEP", 0, n_samples),))


def segment(label, start, stop, **more):
    return Segment(label=label, start=start, stop=stop, **more)


def test_the_mono_mix_does_not_depend_on_its_blocks(monkeypatch):
    samples = np.random.default_rng(0).uniform(-1, 1, (3, 44_100 * 2 + 77)).astype(np.float32)
    whole = soxr.resample(samples.mean(axis=0), 44_100, TRACKING_RATE, quality="HQ")
    monkeypatch.setattr(inputs, "_BLOCK_S", 1)
    mixed = mono_mix(samples, 44_100)
    assert len(mixed) == -(-samples.shape[1] // 2)
    np.testing.assert_allclose(mixed[: len(whole)], whole, atol=1e-5)
    np.testing.assert_allclose(mono_mix((samples * 2**30).astype(np.int32), 44_100), mixed / 2, atol=1e-5)
    np.testing.assert_array_equal(mono_mix(samples[:1], TRACKING_RATE), samples[0])


def test_beats_do_not_depend_on_the_blocks_they_are_tracked_in(monkeypatch):
    rng, t = np.random.default_rng(0), np.arange(30 * TRACKING_RATE) / TRACKING_RATE
    wav = (rng.normal(size=len(t)) * np.exp(-30 * (t % 0.5)) * 0.3).astype(np.float32)
    whole = track_beats(wav, TRACKING_RATE, 110)
    assert len(whole) > 50
    monkeypatch.setattr(beats, "_BLOCK", 400)
    np.testing.assert_array_equal(track_beats(wav, TRACKING_RATE, 110), whole)


def test_what_is_computed_does_not_depend_on_its_parts(monkeypatch):
    wav = np.random.default_rng(0).uniform(-1, 1, (2, 40_000))
    tone = Tone(low_db=9, mid_db=-5, high_db=4)
    edit = kept(
        40_000, 44_100, segment("EFFECT", 0, 30_000, tone=tone), segment("TRANSITION", 0, 9_000, partner=20_000)
    )
    whole = rendering.render(wav, edit)
    monkeypatch.setattr(rendering, "_BLOCK_SAMPLES", 1_000)
    np.testing.assert_allclose(rendering.render(wav, edit), whole, atol=1e-9)


def test_frames_follow_the_edit_list():
    features, rate = Features(FeatureSettings()), 44_100
    step = 1_024
    frames = np.random.default_rng(0).uniform(0.1, 0.9, (41, 128)).astype(np.float32)
    n_samples = 40 * step
    np.testing.assert_allclose(frames_of_edit(frames, kept(n_samples), features)[:40], frames[:40], atol=1e-6)
    edit = kept(n_samples, rate, segment("KEEP", 20 * step, 30 * step), segment("LOOP", 0, 5 * step, repeats=2))
    wanted = frames[[*range(20, 30), *range(5), *range(5)]]
    np.testing.assert_allclose(frames_of_edit(frames, edit, features)[:20], wanted, atol=1e-6)
    # Both sides of a transition at one level: 3 dB more.
    flat = np.full((41, 128), 0.5, np.float32)
    crossed = frames_of_edit(
        flat, kept(n_samples, rate, segment("TRANSITION", 0, 9 * step, partner=20 * step)), features
    )
    np.testing.assert_allclose(crossed[:9], 0.5 + 3.01 / 80, atol=1e-4)
    # Half a frame later.
    late = frames_of_edit(frames, kept(n_samples, rate, segment("KEEP", step // 2, n_samples)), features)
    np.testing.assert_allclose(late[3], (frames[3] + frames[4]) / 2, atol=1e-6)


def test_generated_pieces_stay_within_their_ends():
    features, rate = Features(FeatureSettings()), 22_050
    wav = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 50_000))
    wav[1] /= 2
    louder = segment("EFFECT", 20_000, 30_000, gain=((0, 2), (1, 2)))
    edit = kept(50_000, rate, segment("KEEP", 0, 20_000), louder, segment("KEEP", 30_000, 50_000))
    rendered = rendering.render(wav, edit)
    out = rendered.copy()
    frames = np.full((98, 128), 0.5, np.float32)

    def voice(unit):
        return np.full((len(unit) - 1) * 512, 0.25, np.float32)

    assert generate_pieces(out, wav, edit, frames, features, voice) == 1
    np.testing.assert_array_equal(out[:, :20_000], rendered[:, :20_000])
    np.testing.assert_array_equal(out[:, 30_000:], rendered[:, 30_000:])
    gains = channel_gains(wav, [(20_000, 30_000)])
    assert gains[0] / gains[1] == pytest.approx(2, rel=0.03)
    np.testing.assert_allclose(out[:, 20_300:29_700], np.broadcast_to(0.25 * gains, (2, 9_400)), atol=1e-6)
    # At its ends a piece is what was rendered.
    np.testing.assert_allclose(out[:, 20_000], rendered[:, 20_000], atol=0.01)


def test_channels_of_opposite_sign_have_a_limit():
    wave = np.random.default_rng(0).normal(size=5_000)
    assert channel_gains(np.stack([wave, -wave]), [(0, 5_000)]).tolist() == [[1], [1]]
    assert channel_gains(np.stack([wave, -0.99 * wave]), [(0, 5_000)]).max() == 4


def test_windows_of_sound_join_where_they_share(monkeypatch):
    features = Features(FeatureSettings())
    monkeypatch.setattr(generate, "_WINDOW_FRAMES", 40)
    frames = np.linspace(0, 1, 101, dtype=np.float32)[:, None].repeat(2, axis=1)
    asked = []

    def voice(unit):
        asked.append(len(unit))
        return np.repeat(unit[:-1, 0], 512)

    wave = spoken(voice, frames, features)
    assert len(wave) == 100 * 512 and max(asked) == 41 and len(asked) == 4
    position = np.arange(len(wave)) // 512
    alone = np.concatenate([np.arange(0, 24), np.arange(40, 48), np.arange(64, 72), np.arange(88, 100)])
    inside = np.isin(position, alone)
    np.testing.assert_allclose(wave[inside], frames[position[inside], 0])
    assert spoken(voice, frames[:1], features).size == 0
