import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundgate.tracks.editor.edit_list import EditList, Segment, Tone, keep_all
from soundgate.tracks.editor.rendering import joins_of, render, untouched
from tests.tracks.editor.drawn import RATE, edit_lists, wave

HALF = round(0.01 * RATE / 2)


def edited(*segments, n_samples=8_000):
    return EditList(sample_rate=RATE, n_samples=n_samples, segments=segments)


def keep(start, stop):
    return Segment(label="KEEP", start=start, stop=stop)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate", [4_000, 44_100, 192_000])
def test_keeping_all_changes_no_bit(dtype, channels, rate):
    wav = wave(1_001, channels, dtype=dtype)
    out = render(wav, keep_all(1_001, rate))
    assert out.dtype == wav.dtype and out.tobytes() == wav.tobytes()


def test_keeping_all_in_many_segments_changes_no_bit():
    wav = wave(8_000, 2)
    edges = [0, 1, 2, 50, 4_000, 4_001, 8_000]
    edit = edited(*(keep(a, b) for a, b in zip(edges, edges[1:], strict=False)))
    assert render(wav, edit).tobytes() == wav.tobytes()
    assert joins_of(edit) == []


def test_cutting_all_leaves_nothing():
    assert render(wave(8_000, 2), edited()).shape == (2, 0)


def test_nothing_and_one_sample():
    assert render(np.zeros((1, 0), np.float32), keep_all(0, RATE)).shape == (1, 0)
    assert render(np.ones((1, 1), np.float32), edited(keep(0, 1), keep(0, 1), n_samples=1)).tolist() == [[1, 1]]


@pytest.mark.parametrize("repeats", [2, 3, 7])
def test_a_loop_is_played_as_often_as_it_says(repeats):
    wav = wave(8_000)
    out = render(wav, edited(Segment(label="LOOP", start=1_000, stop=2_000, repeats=repeats)))
    assert out.shape == (1, 1_000 * repeats)
    for number in range(repeats):
        inner = slice(1_000 * number + HALF, 1_000 * (number + 1) - HALF)
        np.testing.assert_array_equal(out[:, inner], wav[:, 1_000 + HALF : 2_000 - HALF])


@given(edit=edit_lists())
@settings(max_examples=50, deadline=None)
def test_every_sample_that_is_not_computed_is_the_inputs(edit):
    wav = wave(edit.n_samples, 2, dtype=np.int16)
    out, origin = render(wav, edit), untouched(edit)
    assert out.shape == (2, edit.output_samples) and len(origin) == out.shape[1]
    np.testing.assert_array_equal(out[:, origin >= 0], wav[:, origin[origin >= 0]])
    kept = sum(s.length * s.repeats for s in edit.segments if s.label in ("KEEP", "LOOP"))
    assert np.sum(origin >= 0) >= kept - 2 * HALF * len(joins_of(edit))


def test_a_splice_fades_over_its_length():
    wav = np.concatenate([np.full((1, 4_000), 0.5), np.full((1, 4_000), -0.5)], axis=1)
    out = render(wav, edited(keep(0, 2_000), keep(6_000, 8_000)))[0]
    np.testing.assert_array_equal(out[: 2_000 - HALF], 0.5)
    np.testing.assert_array_equal(out[2_000 + HALF :], -0.5)
    inside = out[2_000 - HALF : 2_000 + HALF]
    assert np.all(np.diff(inside) < 0)
    # Of opposite sides as of sides that have nothing in common: straight lines scaled to equal power.
    rising = (np.arange(2 * HALF) + 0.5) / (2 * HALF)
    np.testing.assert_allclose(inside, 0.5 * (1 - 2 * rising) / np.hypot(1 - rising, rising), atol=1e-12)


@pytest.mark.parametrize("alike", [0, 0.3, 0.7, 1])
@pytest.mark.parametrize("whole", ["splice", "transition"])
def test_power_and_level_do_not_change_through_a_crossfade_of_like_material(alike, whole):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 500, 400)) / 20
    wav = np.concatenate([first, alike * first + np.sqrt(1 - alike**2) * second], axis=1)
    half, rate = 80, 8_000
    if whole == "splice":
        # Both pieces are heard on beyond their ends: from 320 to 480 there, from 720 to 880 here.
        wav = np.concatenate([wav, wav], axis=1)[:, :1_200]
        segments = [keep(0, 400 - half), keep(800 - half, 1_200)]
    else:
        segments = [Segment(label="TRANSITION", start=0, stop=400, partner=400)]
    edit = EditList(sample_rate=rate, n_samples=wav.shape[1], crossfade_s=0.02, segments=segments)
    out = render(wav, edit)
    joined = out[:, 400 - 2 * half : 400] if whole == "splice" else out
    level_db = 10 * np.log10(np.square(joined).mean(axis=0) / np.square(wav[:, :400]).mean())
    assert abs(level_db.mean()) < 0.15 and np.abs(np.convolve(level_db, np.ones(20) / 20, "valid")).max() < 0.4


def test_joins_may_be_straight_lines_whatever_they_join():
    wav = np.random.default_rng(0).normal(size=(1, 8_000)) * 0.1
    edit = edited(keep(1_000, 3_000), keep(5_000, 7_000))
    power, linear = render(wav, edit), render(wav, edit, linear_joins=True)
    rising = (np.arange(2 * HALF) + 0.5) / (2 * HALF)
    first, second = wav[0, 3_000 - HALF : 3_000 + HALF], wav[0, 5_000 - HALF : 5_000 + HALF]
    np.testing.assert_allclose(linear[0, 2_000 - HALF : 2_000 + HALF], (1 - rising) * first + rising * second)
    different = np.flatnonzero(power != linear)
    assert 2_000 - HALF <= different.min() and different.max() < 2_000 + HALF


def test_a_loop_that_meets_itself_is_what_it_was():
    # Where both sides are the same samples, straight lines add up to them; equal power adds 3 dB.
    wav = np.tile(np.random.default_rng(0).integers(-30_000, 30_000, 500, dtype=np.int16), 16)[None]
    out = render(wav, edited(Segment(label="LOOP", start=1_000, stop=2_000, repeats=4)))
    np.testing.assert_array_equal(out, wav[:, 1_000:5_000])


@given(st.integers(0, 2**31), st.sampled_from([np.int16, np.int32]), st.sampled_from(["splice", "across"]))
@settings(max_examples=40, deadline=None)
def test_crossfades_of_full_scale_never_clip(seed, dtype, kind):
    full = np.iinfo(dtype).max
    generator = np.random.default_rng(seed)
    wav = np.sign(generator.normal(size=(2, 8_000)) + generator.normal(size=8_000)) * generator.choice([0.7, 1], (2, 1))
    across = Segment(label="TRANSITION", start=0, stop=3_000, partner=4_000)
    edit = edited(keep(0, 2_000), keep(5_000, 8_000)) if kind == "splice" else edited(across)
    raw = (wav * full).astype(dtype)
    floats = render(raw / full, edit)
    assert np.abs(floats).max() <= 1 + 1e-12
    # Integers are the same, so that nothing was limited.
    np.testing.assert_allclose(render(raw, edit), floats * full, rtol=2e-6, atol=0.6)


def test_a_recording_that_passes_full_scale_is_not_made_quieter():
    wav = np.full((1, 8_000), 3.0, np.float32)
    np.testing.assert_allclose(render(wav, edited(keep(0, 2_000), keep(6_000, 8_000))), 3, rtol=1e-6)


def test_uncorrelated_material_keeps_its_power_through_a_splice():
    rng = np.random.default_rng(1)
    wav = rng.normal(size=(400, 2_000))
    edit = EditList(sample_rate=RATE, n_samples=2_000, crossfade_s=0.02, segments=[keep(0, 500), keep(1_200, 2_000)])
    power = np.square(render(wav, edit)[:, 420:580]).mean(axis=0)
    np.testing.assert_allclose(power, 1, atol=0.35)
    assert power.mean() == pytest.approx(1, abs=0.03)


def test_fades_are_the_gain_they_say_and_meet_their_neighbours_without_a_crossfade():
    wav = np.ones((1, 8_000))
    fade_in = Segment(label="FADE_IN", start=0, stop=1_000, gain=((0, 0), (1, 1)))
    fade_out = Segment(label="FADE_OUT", start=7_000, stop=8_000, gain=((0, 1), (1, 0)))
    edit = edited(fade_in, keep(1_000, 7_000), fade_out)
    assert joins_of(edit) == []
    out = render(wav, edit)[0]
    np.testing.assert_allclose(out[:1_000], (np.arange(1_000) + 0.5) / 1_000)
    np.testing.assert_allclose(out[7_000:], out[:1_000][::-1])
    np.testing.assert_array_equal(out[1_000:7_000], 1)


@pytest.mark.parametrize(("tone", "hz"), [(Tone(low_db=6), 40), (Tone(mid_db=6), 1_500), (Tone(high_db=6), 19_000)])
def test_an_effect_is_its_gain_and_its_tone(tone, hz):
    rate = 44_100
    wav = 0.1 * np.sin(2 * np.pi * hz * np.arange(rate) / rate)[None]
    segments = [keep(0, 10_000), Segment(label="EFFECT", start=10_000, stop=30_000, tone=tone), keep(30_000, rate)]
    out = render(wav, EditList(sample_rate=rate, n_samples=rate, segments=segments))
    gain = np.linalg.norm(out[:, 11_000:29_000]) / np.linalg.norm(wav[:, 11_000:29_000])
    assert 20 * np.log10(gain) == pytest.approx(6, abs=0.4)
    louder = Segment(label="EFFECT", start=0, stop=rate, gain=((0, 2.0), (1, 2.0)))
    np.testing.assert_array_equal(render(wav, EditList(sample_rate=rate, n_samples=rate, segments=[louder])), 2 * wav)


def test_a_transition_goes_from_one_span_to_the_other():
    wav = np.concatenate([np.full((1, 4_000), 1.0), np.full((1, 4_000), -1.0)], axis=1)
    edit = edited(
        keep(0, 1_000), Segment(label="TRANSITION", start=1_000, stop=2_000, partner=5_000), keep(6_000, 8_000)
    )
    assert joins_of(edit) == []
    out = render(wav, edit)[0]
    # Its sides are opposite: equal power, as of sides that have nothing in common.
    angle = (np.arange(1_000) + 0.5) / 1_000 * np.pi / 2
    np.testing.assert_allclose(out[1_000:2_000], np.cos(angle) - np.sin(angle), atol=1e-12)
    assert len(out) == 4_000


def test_integers_are_rounded_and_limited():
    wav = np.full((1, 8_000), 30_000, np.int16)
    loud = Segment(label="EFFECT", start=0, stop=8_000, gain=((0, 3.0), (1, 3.0)))
    np.testing.assert_array_equal(render(wav, edited(loud)), np.full((1, 8_000), 32_767, np.int16))
    half = Segment(label="EFFECT", start=0, stop=8_000, gain=((0, 0.00003), (1, 0.00003)))
    np.testing.assert_array_equal(render(wav, edited(half)), 1)


def test_a_wave_of_another_length_is_refused():
    with pytest.raises(ValueError, match="expected"):
        render(wave(8_000 - 1), edited(keep(0, 8_000)))
    with pytest.raises(ValueError, match="expected"):
        render(wave(8_000)[0], edited(keep(0, 8_000)))
