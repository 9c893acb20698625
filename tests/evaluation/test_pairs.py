import numpy as np
import pytest
from scipy import stats

from soundgate.evaluation.pairs import pair_mean, pair_share


def ordered_pairs(n):
    first, second = np.nonzero(~np.eye(n, dtype=bool))
    return first, second


def planted(n, generator):
    """Values whose true mean is 0 and that depend on their units far more than on the pair."""
    first, second = ordered_pairs(n)
    as_first, as_second = generator.normal(size=(2, n))
    return as_first[first] + as_second[second] + 0.1 * generator.normal(size=len(first)), first, second


@pytest.mark.parametrize("n", [6, 24])
def test_intervals_cover_the_truth_where_those_over_pairs_do_not(n):
    generator = np.random.default_rng(n)
    covered, naive = [], []
    for _ in range(150):
        values, first, second = planted(n, generator)
        found = pair_mean(values, first, second, generator, 200)
        covered.append(found.ci_low <= 0 <= found.ci_high)
        half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
        naive.append(abs(values.mean()) <= half)
        assert found.n == n and found.value == pytest.approx(values.mean())
    assert np.mean(covered) > 0.85 and np.mean(naive) < np.mean(covered) - 0.15


def test_what_is_not_finite_counts_nowhere():
    first, second = ordered_pairs(4)
    values = np.ones(len(first))
    values[first == 0] = np.nan
    found = pair_mean(values, first, second, np.random.default_rng(0), 100)
    assert (found.value, found.ci_low, found.ci_high) == (1, 1, 1)
    nothing = pair_mean(np.full(12, np.nan), first, second, np.random.default_rng(0), 100)
    assert np.isnan(nothing.value) and nothing.n == 0


def test_three_speakers_cannot_prove_a_majority_by_agreeing_and_twelve_can():
    for n, proves in ((3, False), (12, True)):
        first, second = ordered_pairs(n)
        found = pair_share(np.ones(len(first), bool), first, second, np.random.default_rng(0), 200)
        assert found.value == found.ci_high == 1 and found.n == n and (found.ci_low > 0.5) == proves


def test_a_share_stays_between_nothing_and_all():
    first, second = ordered_pairs(4)
    hits = np.ones(len(first), bool)
    hits[0] = False
    found = pair_share(hits, first, second, np.random.default_rng(0), 200)
    assert found.value == pytest.approx(11 / 12) and found.ci_high == 1 and 0 <= found.ci_low < found.value


def jackknife(values, first, second, n):
    """Return the interval from leaving out, one by one, each unit with every pair that it is in."""
    left_out = np.array([values[(first != u) & (second != u)].mean() for u in range(n)])
    error = np.sqrt((n - 1) / n * np.square(left_out - left_out.mean()).sum())
    return values.mean() - stats.t.ppf(0.975, n - 1) * error, values.mean() + stats.t.ppf(0.975, n - 1) * error


def test_a_unit_is_left_out_with_all_its_pairs_as_either_end():
    """Pairs at random, so that the two ends are not alike, and some of a unit with itself."""
    generator = np.random.default_rng(3)
    first, second = generator.integers(0, 7, 60), np.minimum(generator.integers(0, 7, 60), generator.integers(0, 7, 60))
    values = generator.random(60) + first
    found = pair_mean(values, first, second, generator, 100)
    assert (found.ci_low, found.ci_high) == pytest.approx(jackknife(values, first, second, 7))


def test_a_unit_drawn_twice_brings_its_pairs_twice_and_those_with_itself_too():
    generator = np.random.default_rng(3)
    n = 30
    first, second = generator.integers(0, n, 80), generator.integers(0, n, 80)
    second[::4] = first[::4]
    values = generator.random(80) + first + (first == second) * 20
    found = pair_mean(values, first, second, np.random.default_rng(8), 300)
    means = []
    for counts in np.random.default_rng(8).multinomial(n, np.full(n, 1 / n), size=300):
        drawn = [
            value
            for value, a, b in zip(values, first, second, strict=True)
            for _ in range(counts[a] if a == b else counts[a] * counts[b])
        ]
        means.append(np.mean(drawn))
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))
    assert found.n == n
