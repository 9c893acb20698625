"""Effects do what their settings say, on any input, and report what they measured."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from soundgate.audio.effects import COLOURS, Effect, apply_effects, apply_to_stems
from soundgate.audio.snr import active_frames, frame_energies
from soundgate.audio.toolkit import ToolkitSettings, draw_effects

RATE = 48_000
ALL = ToolkitSettings(
    n_effects=(1, 7),
    snr_db=(5, 40),
    eq_gain_db=(-12, 12),
    high_pass_hz=(60, 300),
    low_pass_hz=(3_000, 16_000),
    gain_db=(-12, 6),
    bits=(8, 16),
    clip_db=(1, 12),
)


def noise_effect(colour, snr_db=20.0, seed=7, **more):
    return Effect("noise", {"colour": colour, "snr_db": snr_db, "seed": seed} | more)


def bursts(seconds=3, valid_s=2.0, seed=0):
    """Modulated noise with pauses, like speech; then padding."""
    generator = np.random.default_rng(seed)
    wav = 0.1 * generator.standard_normal(seconds * RATE)
    time = np.arange(len(wav)) / RATE
    wav *= np.maximum(0, np.sin(2 * np.pi * 1.7 * time)) ** 2
    wav[int(valid_s * RATE) :] = 0
    return wav.astype(np.float32), int(valid_s * RATE)


def one(wav, effect, valid=None):
    out, (report,) = apply_effects(wav, RATE, [effect], len(wav) if valid is None else valid)
    assert report["name"] == effect.name
    return out, report


def any_float32():
    return st.one_of(
        st.just(0.0), st.floats(-1e3, 1e3, width=32), st.floats(-(2.0**-130), 2.0**-130, width=32, allow_subnormal=True)
    )


@settings(deadline=None, max_examples=150)
@given(
    wav=arrays.arrays(np.float32, st.integers(1, 4_000), elements=any_float32(), fill=any_float32()),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_any_finite_input_gives_finite_float32_of_its_length(wav, seed, data):
    effects = draw_effects(np.random.default_rng(seed), ALL)
    valid = data.draw(st.integers(0, len(wav)))
    before = wav.tobytes()
    out, reports = apply_effects(wav, RATE, effects, valid)
    assert out.dtype == np.float32
    assert out.shape == wav.shape
    assert np.isfinite(out).all()
    assert wav.tobytes() == before and not np.shares_memory(out, wav)
    assert [report["name"] for report in reports] == [effect.name for effect in effects]
    json.dumps(reports, allow_nan=False)
    again, reports_again = apply_effects(wav, RATE, draw_effects(np.random.default_rng(seed), ALL), valid)
    assert again.tobytes() == out.tobytes() and reports_again == reports


def test_no_effects_return_the_input_in_a_new_array():
    wav, valid = bursts()
    out, reports = apply_effects(wav, RATE, [], valid)
    assert out.tobytes() == wav.tobytes()
    assert out is not wav
    assert reports == []


@pytest.mark.parametrize("snr_db", [5.0, 20.0, 40.0])
@pytest.mark.parametrize("colour", COLOURS)
def test_the_requested_snr_is_there_over_the_active_frames(colour, snr_db):
    wav, valid = bursts()
    out, report = one(wav, noise_effect(colour, snr_db, mains_hz=50), valid)
    frames, noise = (x[:valid].astype(np.float64).reshape(-1, 960) for x in (wav, out - wav))
    energy = np.sum(frames**2, axis=1)
    active = energy >= 1e-4 * energy.max()
    assert 0.2 < active.mean() < 0.8
    found = 10 * np.log10(energy[active].sum() / np.sum(noise[active] ** 2))
    assert found == pytest.approx(snr_db, abs=0.05)
    assert report["requested_snr_db"] == snr_db
    assert report["achieved_snr_db"] == pytest.approx(found, abs=1e-3)
    assert np.any(out[valid:])


LATER = {
    "nothing": [],
    "a filter": [Effect("low_pass", {"cutoff_hz": 3_000.0})],
    "clipping": [Effect("hard_clip", {"below_peak_db": 12.0})],
    "coarse steps": [Effect("bit_crush", {"bits": 8})],
    "all": [
        Effect("equaliser", {"low_db": 12.0, "mid_db": -12.0, "high_db": -12.0}),
        Effect("hard_clip", {"below_peak_db": 9.0}),
        Effect("high_pass", {"cutoff_hz": 300.0}),
        Effect("bit_crush", {"bits": 10}),
        Effect("gain", {"gain_db": -12.0}),
    ],
}


@pytest.mark.parametrize("snr_db", [5.0, 20.0, 40.0])
@pytest.mark.parametrize("colour", ["white", "hvac", "hum"])
@pytest.mark.parametrize("later", LATER)
def test_the_snr_is_that_of_what_comes_out_of_all_effects(colour, snr_db, later):
    wav, valid = bursts()
    effects = [Effect("high_pass", {"cutoff_hz": 200.0}), noise_effect(colour, snr_db, mains_hz=50), *LATER[later]]
    (noisy, voice), reports = apply_to_stems(wav, RATE, effects, valid)
    energies, noise = (x[:valid].astype(np.float64).reshape(-1, 960) ** 2 for x in (voice, noisy - voice))
    active = energies.sum(1) >= 1e-4 * energies.sum(1).max()
    found = 10 * np.log10(energies[active].sum() / noise[active].sum())
    assert found == pytest.approx(snr_db, abs=0.1)
    assert reports[1]["achieved_snr_db"] == pytest.approx(found, abs=0.02)
    assert noisy.tobytes() == apply_effects(wav, RATE, effects, valid)[0].tobytes()
    if later in ("nothing", "a filter"):
        alone = apply_effects(wav, RATE, [effects[0], *effects[2:]], valid)[0]
        np.testing.assert_allclose(voice, alone, atol=1e-7)


def test_the_clip_without_noise_is_clipped_where_the_noisy_one_is():
    wav, valid = bursts()
    effects = [noise_effect("white", 10.0), Effect("hard_clip", {"below_peak_db": 6.0})]
    (noisy, voice), (_, clip) = apply_to_stems(wav, RATE, effects, valid)
    assert np.abs(noisy).max() == pytest.approx(clip["threshold"]) == pytest.approx(np.abs(voice).max())
    np.testing.assert_array_equal(voice, np.clip(wav, -clip["threshold"], clip["threshold"]).astype(np.float32))


def test_a_clip_without_noise_has_one_stem():
    wav, valid = bursts()
    for effects in ([], [Effect("gain", {"gain_db": 3.0})]):
        assert apply_to_stems(wav, RATE, effects, valid)[0].shape == (1, len(wav))
    assert apply_to_stems(np.zeros_like(wav), RATE, [noise_effect("pink")], valid)[0].shape == (1, len(wav))


def test_two_noises_are_refused():
    wav, valid = bursts()
    with pytest.raises(ValueError, match="at most one noise, found 2"):
        apply_effects(wav, RATE, [noise_effect("pink"), noise_effect("white")], valid)


def test_padding_and_pauses_leave_the_snr_alone():
    wav, valid = bursts()
    shorter = wav[:valid]
    long_mix, _ = one(wav, noise_effect("hum", mains_hz=60), valid)
    short_mix, _ = one(shorter, noise_effect("hum", mains_hz=60), valid)
    np.testing.assert_array_equal(long_mix[:valid], short_mix)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("level", [0.0, 1e-40, 1e-12])
def test_noise_stays_out_of_silence(colour, level):
    wav = np.full(5_000, level, np.float32)
    out, report = one(wav, noise_effect(colour, mains_hz=50))
    assert out.tobytes() == wav.tobytes()
    assert report["achieved_snr_db"] is None


def test_noise_stays_out_where_only_the_padding_sounds():
    wav = np.zeros(5_000, np.float32)
    wav[4_000:] = 0.5
    for valid in (0, 3_000):
        assert one(wav, noise_effect("white"), valid)[1]["achieved_snr_db"] is None


def test_active_frames_lie_within_40_db_of_the_loudest_and_the_last_may_be_short():
    wav = np.concatenate([np.full(960, level, np.float32) for level in (1, 0.0101, 0.0099, 0)] + [np.ones(96)])
    energies = frame_energies(wav.astype(np.float32), RATE)
    np.testing.assert_allclose(energies, [960, 960 * 0.0101**2, 960 * 0.0099**2, 0, 96], rtol=1e-5)
    assert active_frames(energies).tolist() == [True, True, False, False, True]


def test_noise_depends_on_its_seed_alone():
    wav, valid = bursts()
    first, second = (one(wav, noise_effect("pink", seed=seed), valid)[0] for seed in (1, 2))
    assert first.tobytes() == one(wav, noise_effect("pink", seed=1), valid)[0].tobytes()
    correlation = np.corrcoef(first - wav, second - wav)[0, 1]
    assert abs(correlation) < 0.05


def test_gain_is_exact():
    wav, _ = bursts()
    assert one(wav, Effect("gain", {"gain_db": 0.0}))[0].tobytes() == wav.tobytes()
    np.testing.assert_allclose(one(wav, Effect("gain", {"gain_db": -20.0}))[0], wav / 10, rtol=1e-6)


@pytest.mark.parametrize("bits", [2, 8, 12])
def test_bit_crush_leaves_two_to_the_bits_levels_of_the_peak(bits):
    wav = np.linspace(-0.3, 0.3, 40_001, dtype=np.float32)
    out, report = one(wav, Effect("bit_crush", {"bits": bits}))
    step = 0.6 / 2**bits
    assert report["step"] == pytest.approx(step)
    assert len(np.unique(out)) == 2**bits
    np.testing.assert_allclose(np.diff(np.unique(out)), step, rtol=1e-3)
    assert out.min() == pytest.approx(-0.3) and out.max() == pytest.approx(0.3 - step)
    below_top = wav < 0.3 - step
    assert np.abs(out - wav)[below_top].max() <= step / 2 * 1.001


def test_bit_crush_leaves_silence_alone():
    wav = np.full(100, 1e-42, np.float32)
    out, report = one(wav, Effect("bit_crush", {"bits": 16}))
    assert out.tobytes() == wav.tobytes() and report["step"] is None


def test_hard_clip_flattens_what_exceeds_its_threshold_and_nothing_else():
    wav, _ = bursts()
    out, report = one(wav, Effect("hard_clip", {"below_peak_db": 6.0}))
    threshold = np.abs(wav).max() * 10 ** (-6 / 20)
    assert report["threshold"] == pytest.approx(threshold, rel=1e-6)
    over = np.abs(wav) > report["threshold"]
    assert over.any()
    np.testing.assert_allclose(out[over], np.sign(wav[over]) * threshold, rtol=1e-6)
    assert out[~over].tobytes() == wav[~over].tobytes()


def test_a_peak_below_zero_is_one_too():
    wav = np.array([0.25, -1.0, 0.8], np.float32)
    out, report = one(wav, Effect("hard_clip", {"below_peak_db": 20 * np.log10(2)}))
    assert report["threshold"] == 0.5 and out.tolist() == [0.25, -0.5, 0.5]
    assert one(wav, Effect("bit_crush", {"bits": 2}))[1]["step"] == 0.5


def test_hard_clip_at_the_peak_changes_nothing():
    wav, _ = bursts()
    assert one(wav, Effect("hard_clip", {"below_peak_db": 0.0}))[0].tobytes() == wav.tobytes()


@pytest.mark.parametrize(
    ("effect", "gone_hz", "kept_hz"),
    [
        (Effect("high_pass", {"cutoff_hz": 300.0}), 30, 3_000),
        (Effect("low_pass", {"cutoff_hz": 3_000.0}), 20_000, 300),
        (Effect("equaliser", {"low_db": -24.0, "mid_db": 0.0, "high_db": 0.0}), 20, 5_000),
        (Effect("equaliser", {"low_db": 0.0, "mid_db": -24.0, "high_db": 0.0}), 1_500, 20),
        (Effect("equaliser", {"low_db": 0.0, "mid_db": 0.0, "high_db": -24.0}), 20_000, 300),
    ],
)
def test_filters_act_on_their_own_band(effect, gone_hz, kept_hz):
    time = np.arange(RATE) / RATE
    gains = {}
    for frequency in (gone_hz, kept_hz):
        wav = np.sin(2 * np.pi * frequency * time).astype(np.float32)
        out, _ = one(wav, effect)
        gains[frequency] = 20 * np.log10(out[RATE // 2 :].std() / wav[RATE // 2 :].std())
    assert gains[gone_hz] < -20
    assert gains[kept_hz] == pytest.approx(0, abs=1.0)


def test_effects_work_on_each_other_in_the_order_given():
    wav, valid = bursts()
    clip, boost = Effect("hard_clip", {"below_peak_db": 6.0}), Effect("gain", {"gain_db": 20.0})
    clipped_first, (first, _) = apply_effects(wav, RATE, [clip, boost], valid)
    boosted_first, (_, second) = apply_effects(wav, RATE, [boost, clip], valid)
    assert second["threshold"] == pytest.approx(10 * first["threshold"], rel=1e-6)
    np.testing.assert_allclose(clipped_first, boosted_first, rtol=1e-5)
    noisy = apply_effects(wav, RATE, [noise_effect("white", 10.0), clip], valid)[0]
    assert not np.allclose(noisy, apply_effects(wav, RATE, [clip, noise_effect("white", 10.0)], valid)[0], atol=1e-3)


def test_an_effect_survives_json():
    for effect in draw_effects(np.random.default_rng(4), ALL):
        assert Effect(**json.loads(json.dumps(dataclasses.asdict(effect)))) == effect


def test_wrong_arguments_are_refused():
    wav = np.zeros(10, np.float32)
    for bad in (wav.astype(np.float64), wav[None], wav[:0]):
        with pytest.raises(ValueError, match="wav: expected float32"):
            apply_effects(bad, RATE, [], 0)
    for valid in (-1, 11):
        with pytest.raises(ValueError, match="valid_samples: expected 0 to 10"):
            apply_effects(wav, RATE, [], valid)
    with pytest.raises(ValueError, match="packet_loss, found 'echo'"):
        apply_effects(wav, RATE, [Effect("echo", {})], 10)
    with pytest.raises(ValueError, match="found 'blue'"):
        apply_effects(wav, RATE, [noise_effect("blue")], 10)
