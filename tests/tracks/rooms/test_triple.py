import numpy as np
import pytest

from soundgate.audio.effects import Effect
from soundgate.tracks.rooms.quality import QualitySettings, reject_reason
from soundgate.tracks.rooms.triple import LEVEL_DBFS, Renderer, transform_length

RATE, SAMPLES, LOOK_BACK = 48_000, 24_000, 48
GENERATOR = np.random.default_rng(0)


def room(rt60=0.2, samples=12_000, seed=1):
    tail = np.random.default_rng(seed).standard_normal(samples) * 10 ** (-3 * np.arange(samples) / (rt60 * RATE))
    ir = np.concatenate([np.zeros(LOOK_BACK), 0.1 * tail]).astype(np.float32)
    ir[LOOK_BACK] = 1
    return ir


def identity():
    ir = np.zeros(LOOK_BACK + 1, np.float32)
    ir[LOOK_BACK] = 1
    return ir


IRS = {"identity": identity(), "room": room(), "quiet": 0.01 * room(), "long": room(rt60=2.0, samples=SAMPLES)}


@pytest.fixture(scope="module")
def renderer():
    return Renderer(IRS.__getitem__, look_back=LOOK_BACK, samples=SAMPLES, sample_rate=RATE)


@pytest.fixture(scope="module")
def dry():
    return (0.1 * GENERATOR.standard_normal(SAMPLES)).astype(np.float32)


def render(renderer, dry, bad="identity", target="identity", wet=1.0, effects=()):
    return renderer.render(dry, len(dry), bad, target, wet, list(effects))


@pytest.mark.parametrize("wet", [0.0, 0.3, 1.0])
def test_an_identity_room_gives_the_dry_voice_back(renderer, dry, wet):
    triple = render(renderer, dry, wet=wet)
    np.testing.assert_allclose(triple.source / triple.source_gain, dry, atol=2e-7)
    np.testing.assert_allclose(triple.target / triple.target_gain, dry, atol=2e-7)
    assert np.abs(triple.source).max() == pytest.approx(10 ** (LEVEL_DBFS / 20)) and triple.wet_gain == pytest.approx(
        1, abs=1e-5
    )


def test_convolution_is_the_direct_sum(renderer, dry):
    triple = render(renderer, dry, bad="long", target="room")
    direct = np.convolve(dry.astype(np.float64), IRS["room"].astype(np.float64))[LOOK_BACK : LOOK_BACK + SAMPLES]
    np.testing.assert_allclose(triple.target / triple.target_gain, direct, atol=2e-6)


def test_a_short_voice_is_rendered_as_if_it_filled_the_clip(renderer, dry):
    short = np.where(np.arange(SAMPLES) < 6_000, dry, 0).astype(np.float32)
    known, unknown = (renderer.render(short, valid, "long", "room", 0.6, []) for valid in (6_000, SAMPLES))
    np.testing.assert_allclose(known.source, unknown.source, atol=1e-5)
    np.testing.assert_allclose(known.target, unknown.target, atol=1e-5)
    assert known.wet_gain == pytest.approx(unknown.wet_gain, rel=1e-4)


@pytest.mark.parametrize("samples", [1, 2, 7, 240_096, 245_761, 335_999, 480_000])
def test_the_transform_is_long_enough_and_not_much_longer(samples):
    length = transform_length(samples)
    odd = length
    while odd % 2 == 0:
        odd //= 2
    assert samples <= length <= 1.34 * samples and odd in (1, 3, 5, 9, 15)


def test_nothing_wraps_round(renderer):
    late = np.zeros(SAMPLES, np.float32)
    late[-1] = 1
    triple = render(renderer, late, bad="long", target="long")
    assert np.abs(triple.source[: SAMPLES // 2]).max() < 1e-5 and triple.target[-1] == pytest.approx(1)


def test_source_and_target_start_with_the_dry_voice(renderer):
    impulse = np.zeros(SAMPLES, np.float32)
    impulse[1000] = 1
    triple = render(renderer, impulse, bad="long", target="room", wet=0.6)
    assert np.abs(triple.source).argmax() == np.abs(triple.target).argmax() == 1000


def test_the_mixture_is_of_equal_energies(renderer, dry):
    triple = render(renderer, dry, bad="quiet", wet=0.5)
    wet = np.convolve(dry.astype(np.float64), IRS["quiet"].astype(np.float64))
    gain = np.sqrt(np.sum(dry.astype(np.float64) ** 2) / np.sum(wet**2))
    assert triple.wet_gain == pytest.approx(gain, rel=1e-4)
    expected = 0.5 * dry + 0.5 * gain * wet[LOOK_BACK : LOOK_BACK + SAMPLES]
    np.testing.assert_allclose(triple.source / triple.source_gain, expected, atol=2e-6)


def test_degradations_reach_the_source_alone(renderer, dry):
    clean = render(renderer, dry, bad="room", target="room")
    noisy = render(renderer, dry, bad="room", target="room",
                   effects=[Effect("noise", {"colour": "white", "snr_db": 10.0, "seed": 5})])  # fmt: skip
    np.testing.assert_array_equal(clean.target, noisy.target)
    assert noisy.effects[0]["achieved_snr_db"] == pytest.approx(10, abs=0.05)
    assert np.abs(clean.source - noisy.source).max() > 0.01


def test_the_cache_changes_nothing(dry):
    def fresh(cache_bytes):
        return Renderer(
            IRS.__getitem__, look_back=LOOK_BACK, samples=SAMPLES, sample_rate=RATE, cache_bytes=cache_bytes
        )

    small, large = fresh(0), fresh(2**28)
    for bad, target in [("room", "long"), ("quiet", "identity"), ("room", "long")] * 2:
        a, b = (render(r, dry, bad=bad, target=target, wet=0.7) for r in (small, large))
        np.testing.assert_array_equal(a.source, b.source)
        np.testing.assert_array_equal(a.target, b.target)


def test_silence_is_left_to_quality_control(renderer):
    triple = render(renderer, np.zeros(SAMPLES, np.float32), bad="room", target="room", wet=0.5)
    assert not triple.source.any() and triple.source_gain == 1


@pytest.mark.parametrize("gain_db, level_dbfs", [(-12.0, -18.0), (0.0, -6.0), (6.0, 0.0), (20.0, 0.0)])
@pytest.mark.parametrize("last", [True, False])
def test_the_level_drawn_is_the_level_of_the_finished_source(renderer, dry, gain_db, level_dbfs, last):
    effects = [Effect("gain", {"gain_db": gain_db}), Effect("hard_clip", {"below_peak_db": 6.0})][:: -1 if last else 1]
    triple = render(renderer, dry, bad="room", target="room", effects=effects)
    assert 20 * np.log10(np.abs(triple.source).max()) == pytest.approx(level_dbfs, abs=1e-4)
    assert triple.effects[1 if last else 0]["level_dbfs"] == level_dbfs
    assert np.abs(triple.target).max() == pytest.approx(1)


def test_the_source_without_noise_is_the_source_but_for_the_noise(renderer, dry):
    effects = [Effect("noise", {"colour": "pink", "snr_db": 20.0, "seed": 5}),
               Effect("low_pass", {"cutoff_hz": 4000.0})]  # fmt: skip
    given = (dry, len(dry), "room", "long", 0.7)
    noisy, quiet = renderer.render(*given, effects), renderer.render(*given, effects[1:])
    voice = renderer.without_noise(*given, effects)
    np.testing.assert_allclose(voice, quiet.source / quiet.source_gain, atol=1e-6)
    noise = noisy.source / noisy.source_gain - voice
    assert 10 * np.log10(np.mean(voice**2) / np.mean(noise**2)) == pytest.approx(20, abs=0.1)
    alone = renderer.without_noise(*given, effects[1:])
    np.testing.assert_allclose(alone, voice, atol=1e-6)


LIMITS = QualitySettings(min_rms=1e-4, max_clipped_share=0.1)


@pytest.mark.parametrize("which", ["source", "target"])
@pytest.mark.parametrize("value, reason", [(np.nan, "not finite"), (np.inf, "not finite"), (0.0, "silent")])
def test_unfit_triples(dry, which, value, reason):
    wavs = {"source": dry, "target": dry} | {which: np.full(SAMPLES, value, np.float32)}
    assert reject_reason(**wavs, settings=LIMITS) == f"{which}: {reason}"


def test_clipping_is_a_share(dry):
    clipped = dry.copy()
    clipped[: SAMPLES // 10] = 1
    assert reject_reason(clipped, dry, LIMITS) is None
    clipped[: SAMPLES // 10 + 1] = -1
    assert reject_reason(clipped, dry, LIMITS) == "source: clipped"


@pytest.mark.parametrize("level", [1e-3, 0.5])
def test_quality_is_of_the_shape_and_not_of_the_level(dry, level):
    clipped = np.clip(dry, -0.05, 0.05)
    assert reject_reason(level * dry, dry, LIMITS) is None
    assert reject_reason(dry, np.float32(level) * clipped, LIMITS) == "target: clipped"
