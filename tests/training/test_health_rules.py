"""Every rule on planted series: it fires for its fault, and not for the healthy run most like it."""

import numpy as np
import pytest

from soundgate.training.health.findings import REMEDIES, worst
from soundgate.training.health.robust import robust_z
from soundgate.training.health.rules import judge
from tests.training.duel import health

SETTINGS = health()
N, LAST = 40, 3  # Checks of a run, and how many of them the fault has lasted: as long as a rule waits.


def noisy(level, spread=0.2, n=N, seed=0):
    """Figures that scatter about a level by a share of it."""
    return level * np.exp(spread * np.random.default_rng(seed).standard_normal(n))


def ends(level, last, spread=0.2, n_last=LAST):
    """Figures about a level, the last ones about another."""
    series = noisy(level, spread)
    series[-n_last:] = noisy(last, spread / 2, n_last, 1)
    return series


def found(figures, settings=SETTINGS):
    """Return (rule, level) of all that is found at the last check of these series."""
    length = max(len(series) for series in figures.values())
    rows = [{key: series[i] for key, series in figures.items() if i < len(series)} for i in range(length)]
    return [(finding.rule, finding.level) for finding in judge(rows, settings)]


def falling(start, end):
    return np.geomspace(start, end, N) * noisy(1, 0.1)


NONE = []
WITHOUT_TREND = ("print/", "batch/", "attached/", "effect/", "update/g.", "gradient/g.")
CASES = {
    "a gradient that explodes": ({"gradient/g": ends(1, 1e3)}, [("exploding", "critical")]),
    "a gradient that grows by a lot": ({"gradient/g": ends(1, 10)}, [("exploding", "warning")]),
    "a gradient that doubles": ({"gradient/g": ends(1, 2)}, NONE),
    "one huge gradient alone": ({"gradient/g": ends(1, 1e6, n_last=1)}, NONE),
    "two huge gradients": ({"gradient/g": ends(1, 1e6, n_last=2)}, NONE),
    "a gradient that scatters over decades": ({"gradient/g": noisy(1, 2.0)}, NONE),
    "a gradient that grows slowly": ({"gradient/g": falling(1, 50)}, NONE),
    "a gradient with two levels": (
        {"gradient/g": np.array([0.58, 0.55, 0.51, 7.7, 1.66, 0.54, 8.01, 1.32, 0.64, 8.16, 8.44, 8.97])}, NONE,
    ),
    "two levels that explode": (
        {"gradient/g": np.array([0.58, 0.55, 8.2, 7.7, 1.66, 0.54, 8.01, 1.32, 0.64, 8.1, 9e4, 9e4, 6e3])},
        [("exploding", "critical")],
    ),
    "no gradient": ({"gradient/d": np.r_[noisy(1)[:-LAST], np.zeros(LAST)]}, [("vanished", "critical")]),
    "no gradient from the start": ({"gradient/d": np.zeros(4)}, [("vanished", "critical")]),
    "no gradient once": ({"gradient/d": np.r_[noisy(1)[:-1], 0]}, NONE),
    "a small gradient": ({"gradient/d": noisy(1e-5)}, NONE),
    "a part without gradient": ({"gradient/d.judges.1": np.zeros(N)}, NONE),
    "frozen": ({"update/g": np.r_[noisy(1e-3)[:-LAST], np.zeros(LAST)]}, [("frozen", "critical")]),
    "frozen from the start": ({"update/g": np.zeros(3)}, [("frozen", "critical")]),
    "a rate that falls by a cosine": ({"update/g": 1e-3 * np.cos(np.linspace(0, 1.57, N)) ** 2 + 1e-7}, NONE),
    "an optimiser that stops": ({"steps/g": np.r_[np.full(N - LAST, 25), np.zeros(LAST)]}, [("frozen", "critical")]),
    "an optimiser that has not begun": ({"steps/d": np.zeros(N)}, NONE),
    "an optimiser with every other turn": ({"steps/d": np.tile([1, 0], N // 2)}, NONE),
    "a rate a hundred times as large": ({"update/g": ends(1e-3, 1e-1)}, [("rate", "critical")]),
    "a rate twice as large": ({"update/g": ends(1e-3, 2e-3)}, NONE),
    "a rate that warms up": ({"update/g": np.r_[np.linspace(0.1, 1, 4), np.ones(N - 4)] * noisy(1e-3, 0.1)}, NONE),
    "a loss that diverges": ({"loss/mel": ends(1, 10)}, [("diverging", "warning")]),
    "a loss that falls": ({"loss/mel": falling(10, 0.5)}, NONE),
    "a loss that is half as large again": ({"loss/mel": ends(1, 1.5)}, NONE),
    "a loss that some steps do not have": ({"loss/mel": np.r_[0, 2.5, np.zeros(10), [2.4] * 3]}, NONE),
    "feature matching that rises alone": ({"loss/feature_matching": ends(1, 20), "loss/mel": noisy(1)}, NONE),
    "a sum that jumps as the critic comes in": ({"loss/loss": ends(1, 8), "loss/mel": noisy(1)}, NONE),
    "a discriminator that dominates": (
        {"loss/discriminator": ends(2, 0.05, 0.1), "loss/adversarial": ends(0.2, 2, 0.1)}, [("dominance", "critical")],
    ),
    "least squares, the same": (
        {"loss/discriminator": ends(0.5, 0.01, 0.1), "loss/adversarial": ends(0.25, 0.95, 0.1)},
        [("dominance", "critical")],
    ),
    "hinge, the generator's loss below 0": (
        {"loss/discriminator": ends(2, 0.05, 0.1), "loss/adversarial": np.r_[-noisy(0.3, 0.1)[:-LAST], [1.5] * LAST]},
        [("dominance", "critical")],
    ),
    "the names of the seed": (
        {"loss/disc": ends(2, 0.05, 0.1), "loss/gen": ends(3, 9, 0.1)}, [("dominance", "critical")],
    ),
    "a discriminator's loss that is HIGH with the generator's": (
        {"loss/discriminator": ends(2, 6, 0.1), "loss/adversarial": ends(0.2, 2, 0.1)}, NONE,
    ),
    "a discriminator that gains alone": (
        {"loss/discriminator": ends(2, 0.05, 0.1), "loss/adversarial": noisy(0.2, 0.1)}, NONE,
    ),
    "a generator that loses alone": (
        {"loss/discriminator": noisy(2, 0.1), "loss/adversarial": ends(0.2, 2, 0.1)}, NONE,
    ),
    "both sides scatter": ({"loss/discriminator": noisy(1.8, 0.3), "loss/adversarial": noisy(0.3, 0.8, N, 1)}, NONE),
    "outputs that become one": ({"probe/pairwise_ratio": ends(0.8, 0.02)}, [("collapse", "critical")]),
    "outputs that were one all along": ({"probe/pairwise_ratio": noisy(1e-4)}, [("collapse", "critical")]),
    "outputs that begin as one": ({"probe/pairwise_ratio": np.linspace(0, 1, N)[:9]}, NONE),
    "outputs half as far apart": ({"probe/pairwise_ratio": ends(0.8, 0.4)}, NONE),
    "a voice that is let go": ({"probe/swap_change": ends(0.3, 1e-6)}, [("conditioning", "critical")]),
    "a voice that was never there": ({"probe/swap_change": np.zeros(N)}, [("conditioning", "critical")]),
    "FiLM that begins as identity": ({"probe/swap_change": np.r_[np.zeros(8), np.linspace(0.01, 0.3, N - 8)]}, NONE),
    "FiLM right after the start": ({"probe/swap_change": np.zeros(8)}, NONE),
    "a voice that counts for a little less": ({"probe/swap_change": ends(0.3, 0.1)}, NONE),
    "another's voice": ({"probe/speaker_similarity": noisy(0.3, 0.05)}, [("similarity", "warning")]),
    "the voice asked for": ({"probe/speaker_similarity": noisy(0.8, 0.05)}, NONE),
    "a voice that is still being learnt": ({"probe/speaker_similarity": np.linspace(0, 0.45, 9)}, NONE),
    "a rate that was never more": ({"update/g": noisy(1e-7)}, [("slow", "warning")]),
    "a rate that is small by now": ({"update/g": np.r_[noisy(1e-3)[:-20], np.geomspace(1e-3, 1e-7, 20)]}, NONE),
    "a rate too large from the start": ({"update/g": noisy(0.9, 0.05)}, [("rate", "critical")]),
    "a gradient clipped away": ({"clipped/g": np.full(3, 1e-6)}, [("clipping", "critical")]),
    "a gradient clipped to a tenth": ({"clipped/g": noisy(0.1)}, NONE),
    "weights that shrink": ({"shrink/g": np.full(3, 0.9)}, [("decay", "warning")]),
    "weights that hardly shrink": ({"shrink/g": noisy(0.1)}, NONE),
    "a part that does not learn": (
        {"update/g": noisy(1e-3), "update/g.first": np.zeros(N)}, [("frozen", "warning")],
    ),
    "a part without a gradient": (
        {"gradient/g": noisy(1), "gradient/g.first": np.zeros(N)}, [("vanished", "warning")],
    ),
    "a loss that every step raises": ({"effect/mel": np.full(8, 0.01)}, [("climbing", "warning")]),
    "a loss that most steps raise": (
        {"effect/mel": np.tile([0.01, 0.012, 0.01, -0.001], 2)}, [("climbing", "warning")],
    ),
    "a loss that steps raise as often as not": ({"effect/mel": np.tile([0.02, -0.01], 20)}, NONE),
    "one output for all": ({"spread/g": np.full(3, 1e-12)}, [("constant", "critical")]),
    "outputs that differ a little": ({"spread/g": noisy(1e-2)}, NONE),
    "evaluation mode": ({"evaluating/g": np.full(3, 0.5)}, [("mode", "warning")]),
    "evaluation mode once": ({"evaluating/g": np.r_[np.zeros(N - 1), 1]}, NONE),
    "a generator that hears nothing": (
        {"attached/g": np.zeros(3), "attached/d": np.zeros(3), "loss/adversarial": np.ones(3)},
        [("detached", "critical")],
    ),
    "a generator that hears its critic": (
        {"attached/g": np.zeros(3), "attached/d": np.ones(3), "loss/adversarial": np.ones(3)}, NONE,
    ),
    "two networks that have nothing to do with one another": (
        {"attached/g": np.zeros(3), "attached/d": np.zeros(3), "loss/mel": np.ones(3)}, NONE,
    ),
    "the same batch": ({"print/batch": np.full(4, 7.0)}, [("repeating", "critical")]),
    "three batches in turn": ({"print/batch": np.tile([1.0, 2.0, 3.0], 3)}, [("repeating", "critical")]),
    "other batches": ({"print/batch": np.arange(N) + 0.5}, NONE),
    "copies": ({"copies/batch": np.full(3, 0.5)}, [("copies", "warning")]),
    "a copy now and then": ({"copies/batch": np.tile([0.0, 0.4], N // 2)}, NONE),
    "silence": ({"batch/silence": np.full(3, 0.8)}, [("silence", "warning")]),
    "items of silence": ({"batch/mute": np.full(3, 0.5)}, [("silence", "warning")]),
    "pauses": ({"batch/silence": noisy(0.1)}, NONE),
    "clipped sound": ({"batch/clipped": np.full(3, 0.2)}, [("peaks", "warning")]),
    "shifted sound": ({"batch/offset": np.full(3, 0.7)}, [("offset", "warning")]),
    "half a band": ({"batch/bandwidth": noisy(0.3, 0.1)}, [("bandwidth", "warning")]),
    "a batch without sibilants": ({"batch/bandwidth": np.r_[noisy(0.85, 0.05)[:-1], 0.3]}, NONE),
    "labels by chance": (
        {"batch/labels": noisy(0.5, 0.1), "batch/label_pairs": np.full(N, 5.0)}, [("labels", "warning")],
    ),
    "labels that fit": ({"batch/labels": noisy(0.9, 0.1), "batch/label_pairs": np.full(N, 5.0)}, NONE),
    "too few pairs of one label": ({"batch/labels": np.full(10, 0.2), "batch/label_pairs": np.full(10, 1.0)}, NONE),
    "targets by chance": ({"batch/targets": noisy(0.5, 0.05)}, [("targets", "warning")]),
    "targets that are learnt": ({"batch/targets": np.linspace(0.5, 1.0, 12)}, NONE),
    "one batch that is not finite": ({"nonfinite/batches": np.r_[np.zeros(N - 1), 1]}, [("non_finite", "critical")]),
    "the same at the first check": ({"nonfinite/gradients": np.ones(1)}, [("non_finite", "critical")]),
    "a batch that was not finite before": ({"nonfinite/batches": np.r_[1, np.zeros(N - 1)]}, NONE),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_rule_fires_for_its_fault_and_is_silent_for_its_healthy_twin(case):
    figures, expected = CASES[case]
    assert found(figures) == expected


def test_every_rule_has_a_case_and_a_remedy():
    assert {rule for _, expected in CASES.values() for rule, _ in expected} == set(REMEDIES)


AS_LONG_AS_IT_TAKES = [case for case, (figures, _) in CASES.items() if 3 <= len(next(iter(figures.values()))) <= 8]


@pytest.mark.parametrize("case", AS_LONG_AS_IT_TAKES)
def test_what_needs_no_trend_is_no_alarm_before_it_has_lasted(case):
    figures, _ = CASES[case]
    n_kept = 2 if case == "no gradient from the start" else -1
    assert found({key: series[:n_kept] for key, series in figures.items()}) == NONE


@pytest.mark.parametrize("case", [case for case, (_, expected) in CASES.items() if expected])
def test_what_must_be_sustained_is_no_alarm_one_check_earlier(case):
    figures, expected = CASES[case]
    earlier = {key: series[:-1] for key, series in figures.items()}
    at_once = expected == [("non_finite", "critical")]
    level = any(key.startswith(WITHOUT_TREND) for key in figures) or "from the start" in case or "never more" in case
    constant = all(np.ptp(series) < 1e-3 for series in figures.values()) or "voice" in case or "one all along" in case
    if not at_once and not constant and not level:
        assert found(earlier) == NONE


def test_an_alarm_ends_where_the_fault_does():
    figures = {"gradient/g": np.r_[ends(1, 1e3), noisy(1, n=1)]}
    assert found(figures) == NONE


@pytest.mark.parametrize("n_last", range(1, 16))
def test_an_alarm_lasts_as_long_as_its_fault_until_that_is_the_usual(n_last):
    alarmed = [("exploding", "critical")] if LAST <= n_last <= SETTINGS.window // 2 else NONE
    assert found({"gradient/g": ends(1, 1e4, n_last=n_last)}) == alarmed


def test_nothing_is_judged_against_a_window_that_holds_too_little():
    n = SETTINGS.least + SETTINGS.sustained
    series = np.r_[noisy(1, n=SETTINGS.least), [1e4] * SETTINGS.sustained]
    assert found({"gradient/g": series}) == [("exploding", "critical")]
    assert len(series) == n and found({"gradient/g": series[1:]}) == NONE


def test_a_figure_that_is_missing_now_is_not_judged():
    rows = [{"gradient/g": value} for value in ends(1, 1e4)] + [{"gradient/d": 1.0}]
    assert judge(rows, SETTINGS) == []


def test_checks_that_lack_a_figure_do_not_break_its_series():
    rows = []
    for value in ends(1, 1e4):
        rows += [{"gradient/g": value}, {"gradient/g": None}, {}]
    longer = health(window=60, least=8)
    assert [finding.rule for finding in judge(rows[:-2], longer.model_copy(update={"window": 200}))] == ["exploding"]


def test_healthy_runs_are_silent():
    """A thousand runs of figures that scatter and drift as those of a training do: no more than one in a hundred."""
    settings, alarms = SETTINGS, 0
    for seed in range(1000):
        generator = np.random.default_rng(seed)
        walk = np.cumsum(generator.normal(0, 0.05, (6, N)), axis=1) + generator.normal(0, 0.3, (6, N))
        keys = (
            "gradient/g", "update/g", "loss/mel", "loss/discriminator", "loss/adversarial", "probe/pairwise_ratio",
        )  # fmt: skip
        figures = dict(zip(keys, np.exp(walk), strict=True))
        alarms += bool(found(figures | {"update/g": 1e-3 * figures["update/g"]}, settings))
    assert alarms <= 10


def test_a_voice_is_expected_after_four_fifths_of_a_training_however_often_it_is_looked_at():
    """Similarities of the embedded converter, healthy: below the threshold for its first third."""
    learnt = np.interp(np.arange(5, 301, 5), np.arange(25, 301, 25),
                       [0.03, 0.09, 0.12, 0.27, 0.55, 0.54, 0.56, 0.61, 0.59, 0.65, 0.65, 0.65])  # fmt: skip
    settings = health(interval=5).of_length(300)
    rows = [{"probe/speaker_similarity": value} for value in learnt]
    assert len(rows) == 60 and not any(judge(rows[:n], settings) for n in range(1, 61))
    assert any(judge(rows[:n], health(interval=5)) for n in range(1, 61))
    never = [{"probe/speaker_similarity": 0.3}] * 60
    alarmed = [n for n in range(1, 61) if judge(never[:n], settings)]
    assert alarmed == list(range(48, 61))


@pytest.mark.parametrize(("n_steps", "interval"), [(10_000, 100), (2000, 100), (300, 15), (60, 3), (20, 1), (5, 1)])
def test_a_short_training_is_looked_at_more_often(n_steps, interval):
    assert health(interval=100, least_checks=20).of_length(n_steps).interval == interval


def test_few_pairs_of_one_label_are_doubted_less():
    def alarmed(share, n_pairs):
        rows = [{"batch/labels": share, "batch/label_pairs": n_pairs / 10}] * 10
        return bool(judge(rows, SETTINGS))

    assert alarmed(0.57, 400) and not alarmed(0.57, 25) and alarmed(0.5, 25) and not alarmed(0.62, 10_000)


def test_the_robust_z_of_a_normal_sample_is_the_usual_one():
    reference = np.random.default_rng(0).normal(5, 2, 100_000)
    assert robust_z(np.array([5, 7, 1]), reference, 1e-9) == pytest.approx([0, 1, -2], abs=0.03)
    assert robust_z(np.array([6.0]), np.full(9, 5.0), 0.5) == pytest.approx([2])


def test_a_status_is_the_worst_of_what_was_found():
    rows = [{"loss/mel": a, "gradient/g": b} for a, b in zip(ends(1, 10), ends(1, 1e3), strict=True)]
    findings = judge(rows, SETTINGS)
    assert worst(findings) == "critical" and worst(findings[1:]) == "warning" and worst([]) == "healthy"
