"""What recorders and networks do is done at the values asked for, and to all stems alike."""

import numpy as np
import pytest
from scipy.signal import correlate

from soundgate.audio.channel import level, limit, lose_packets, narrow_band, through_codec, uneven_clip
from soundgate.audio.decay import bandwidth_hz
from soundgate.audio.effects import CHANNEL_EFFECTS, EFFECTS, Effect, apply_effects, apply_to_stems
from soundgate.audio.noise import wind_noise
from soundgate.audio.snr import snr_between
from soundgate.audio.toolkit import CHAIN, ToolkitSettings, draw_effects

RATE = 48_000
CHANNEL = {
    "probabilities": {"noise": 0.8, "codec": 0.3, "packet_loss": 0.2, "narrow_band": 0.5, "level": 0.5, "limit": 0.5,
                      "uneven_clip": 0.5, "gain": 1.0},
    "colours": ["pink", "wind"], "rates_hz": [8000, 16000], "uneven_clip_db": (1, 20), "level_reaction_s": (0.05, 1),
    "level_most_db": (6, 18), "limit_db": (3, 15), "limit_release_s": (0.02, 0.5),
    "kbps": {"mp3": (64, 128), "opus": (12, 64)}, "lost_share": (0.02, 0.15), "lost_burst": (1, 5),
}  # fmt: skip
TOOLKIT = {
    "n_effects": (3, 6), "snr_db": (5, 40), "eq_gain_db": (-12, 12), "high_pass_hz": (60, 300),
    "low_pass_hz": (3000, 16000), "gain_db": (-12, 6), "bits": (8, 16), "clip_db": (1, 12), "draw": "channel",
}  # fmt: skip


def toolkit(**changes):
    return ToolkitSettings.model_validate(TOOLKIT | {"channel": CHANNEL | changes})


@pytest.fixture(scope="module")
def voice():
    """Two stems of three seconds: modulated noise below 10 kHz, and half of it."""
    generator = np.random.default_rng(0)
    spectrum = np.fft.rfft(generator.standard_normal(3 * RATE))
    spectrum[30_000:] = 0
    wav = 0.1 * np.fft.irfft(spectrum) * (1.1 + np.sin(2 * np.pi * 1.7 * np.arange(3 * RATE) / RATE))
    return np.stack([wav, 0.5 * wav]).astype(np.float32)


def power(wav):
    return float(np.mean(np.square(wav, dtype=np.float64)))


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050])
def test_nothing_is_left_above_half_the_rate(rate):
    noise = np.random.default_rng(1).standard_normal((1, RATE)).astype(np.float32)
    out = narrow_band(noise, RATE, rate)
    assert out.shape == noise.shape and 0.9 * rate / 2 < bandwidth_hz(out[0], RATE, 40) <= rate / 2 + 100
    assert np.argmax(correlate(out[0], noise[0], method="fft")) == RATE - 1


def test_uneven_clipping_has_two_thresholds(voice):
    out, report = uneven_clip(voice, 6.0, 12.0)
    peak = np.abs(voice[0]).max()
    assert out[0].max() == pytest.approx(peak * 10**-0.3, rel=1e-4) == report["upper"]
    assert -out[0].min() == pytest.approx(peak * 10**-0.6, rel=1e-4) == report["lower"]
    np.testing.assert_array_equal(out[1], np.clip(voice[1], -report["lower"], report["upper"]))


@pytest.mark.parametrize("share, burst", [(0.05, 1.0), (0.15, 4.0)])
def test_packets_are_lost_in_bursts(share, burst):
    wav = np.ones((2, 2000 * 960), np.float32)
    out, report = lose_packets(wav, RATE, share, burst, 3)
    packets = out[0].reshape(-1, 960)
    lost = packets[:, 0] == 0
    assert (packets == packets[:, :1]).all() and report["lost_share"] == lost.mean() == pytest.approx(share, abs=0.06)
    bursts = np.count_nonzero(np.diff(np.concatenate([[0], lost.astype(int)])) == 1)
    assert lost.sum() / bursts == pytest.approx(burst, rel=0.25)
    np.testing.assert_array_equal(out[1], out[0])
    assert lose_packets(wav, RATE, share, burst, 3)[0].tobytes() == out.tobytes()
    assert lose_packets(wav, RATE, share, burst, 4)[0].tobytes() != out.tobytes()


def test_levelling_brings_loud_and_soft_together():
    generator = np.random.default_rng(0)
    steps = np.repeat([1.0, 0.1], 2 * RATE)
    wav = (steps * generator.standard_normal(4 * RATE)).astype(np.float32)[None]
    out, report = level(wav, RATE, 0.1, 15.0)
    before, after = (10 * np.log10(power(x[0, RATE : 2 * RATE]) / power(x[0, 3 * RATE :])) for x in (wav, out))
    assert before == pytest.approx(20, abs=0.3) and after == pytest.approx(20 - 15 - 3, abs=1)
    assert -3.5 < report["lowest_db"] < -2.5 and report["highest_db"] == 15


def test_a_limiter_holds_peaks_without_clipping_them(voice):
    loud, at = voice.copy(), round(0.735 * RATE)  # Where the voice is loudest.
    loud[:, at : at + 480] *= 8
    out, report = limit(loud, RATE, 10.0, 0.1)
    assert np.abs(out[0]).max() <= report["threshold"] * 1.0001
    assert report["threshold"] == pytest.approx(np.abs(loud[0]).max() * 10**-0.5, rel=1e-5)
    np.testing.assert_allclose(out[1], 0.5 * out[0], atol=1e-6)
    gain = out[0] / np.where(loud[0] == 0, 1, loud[0])
    assert gain[at - 4_800 : at - 480].min() > 0.9 > 0.5 > gain[at + 200]
    assert gain[at + 960] < gain[at + 9_600] < 1.001


@pytest.mark.parametrize("codec, low, high", [("mp3", 64, 160), ("opus", 16, 96), ("vorbis", 56, 200)])
def test_codecs_cost_what_their_bit_rate_saves(voice, codec, low, high):
    found = {}
    for kbps in (low, high):
        out, report = through_codec(voice[:1], RATE, codec, kbps)
        assert out.shape == (1, 3 * RATE)
        assert abs(np.argmax(correlate(out[0], voice[0], method="fft")) - (3 * RATE - 1)) < 3
        found[kbps] = report["encoded_bytes"], power(out[0] - voice[0])
    assert found[low][0] < found[high][0] and found[low][1] > 2 * found[high][1]
    if codec != "vorbis":
        assert [8 * found[kbps][0] / 3000 for kbps in (low, high)] == pytest.approx([low, high], rel=0.15)


def test_a_codec_that_is_not_there_or_a_rate_it_does_not_hold_is_refused(voice):
    for codec, kbps in (("aac", 64), ("mp3", 32), ("opus", 300)):
        with pytest.raises(ValueError, match=f"found {codec} at {kbps}"):
            through_codec(voice, RATE, codec, kbps)


def test_wind_rumbles_in_gusts():
    wav = wind_noise(5 * RATE, RATE, 4).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(wav)) ** 2
    assert spectrum[: 5 * 300].sum() > 0.9 * spectrum.sum()
    frames = np.square(wav).reshape(-1, RATE // 10).mean(axis=1)
    assert 10 * np.log10(np.quantile(frames, 0.9) / np.quantile(frames, 0.1)) > 10
    assert wind_noise(5 * RATE, RATE, 4).tobytes() == wind_noise(5 * RATE, RATE, 4).tobytes()


LATER = [
    Effect("level", {"reaction_s": 0.2, "most_db": 12.0}),
    Effect("uneven_clip", {"above_db": 3.0, "below_db": 12.0}),
    Effect("limit", {"below_peak_db": 9.0, "release_s": 0.1}),
    Effect("narrow_band", {"rate_hz": 16_000}),
    Effect("packet_loss", {"share": 0.1, "burst": 2.0, "seed": 1}),
]


@pytest.mark.parametrize("snr_db", [5.0, 30.0])
@pytest.mark.parametrize("later", [*([one] for one in LATER), LATER], ids=[*(one.name for one in LATER), "all"])
def test_the_snr_is_that_of_what_comes_out(voice, later, snr_db):
    noise = Effect("noise", {"colour": "pink", "snr_db": snr_db, "seed": 7})
    stems, reports = apply_to_stems(voice[0], RATE, [noise, *later], 3 * RATE)
    assert snr_between(stems[0], stems[1], RATE, 3 * RATE) == pytest.approx(snr_db, abs=0.05)
    assert reports[0]["achieved_snr_db"] == pytest.approx(snr_db, abs=0.05)


def test_the_snr_is_that_of_what_goes_into_a_codec(voice):
    effects = [Effect("noise", {"colour": "wind", "snr_db": 12.0, "seed": 7}), LATER[1],
               Effect("codec", {"codec": "mp3", "kbps": 64.0})]  # fmt: skip
    reports = apply_to_stems(voice[0], RATE, effects, 3 * RATE)[1]
    before = apply_to_stems(voice[0], RATE, effects[:2], 3 * RATE)[0]
    assert snr_between(*before, RATE, 3 * RATE) == pytest.approx(12, abs=0.05)
    assert reports[0]["achieved_snr_db"] == pytest.approx(12, abs=0.05) and reports[2]["encoded_bytes"] > 0


@pytest.mark.parametrize("name", CHANNEL_EFFECTS)
def test_silence_stays_silent(name):
    settings = {"rate_hz": 8000, "above_db": 3.0, "below_db": 3.0, "reaction_s": 0.1, "most_db": 6.0,
                "below_peak_db": 3.0, "release_s": 0.1, "codec": "opus", "kbps": 24.0, "share": 0.1, "burst": 2.0,
                "seed": 0}  # fmt: skip
    out, _ = apply_effects(np.zeros(9_600, np.float32), RATE, [Effect(name, settings)], 9_600)
    assert out.shape == (9_600,) and not out.any()


def test_each_effect_comes_by_its_own_probability_and_none_is_possible():
    draws = [draw_effects(np.random.default_rng(seed), toolkit()) for seed in range(600)]
    counts = {name: np.mean([name in {e.name for e in effects} for effects in draws]) for name in CHAIN}
    for name in CHAIN:
        assert counts[name] == pytest.approx(CHANNEL["probabilities"].get(name, 0), abs=0.07)
    order = [CHAIN.index(effect.name) for effect in max(draws, key=len)]
    assert order == sorted(order) and set(CHAIN) == {*EFFECTS, *CHANNEL_EFFECTS}
    colours = {e.settings["colour"] for effects in draws for e in effects if e.name == "noise"}
    assert colours == {"pink", "wind"}
    rates = [e.settings["kbps"] for effects in draws for e in effects if e.name == "codec"]
    assert 12 <= min(rates) < 20 and 100 < max(rates) <= 128
    rare = toolkit(probabilities={"noise": 0.1})
    assert sum(not draw_effects(np.random.default_rng(seed), rare) for seed in range(200)) > 150


@pytest.mark.parametrize(
    "change, message",
    [
        ({"probabilities": {"echo": 0.5}}, "probabilities of .*, not echo"),
        ({"colours": ["blue"]}, "colours of .*, not blue"),
        ({"kbps": {"aac": (10, 20)}}, "kbps of .*, not aac"),
        ({"kbps": {"mp3": (8, 20)}}, "kbps of mp3"),
        ({"limit_db": (5, 1)}, "low at most high"),
    ],
)
def test_wrong_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        toolkit(**change)
    with pytest.raises(ValueError, match="channel where draw is channel"):
        ToolkitSettings.model_validate(TOOLKIT)
