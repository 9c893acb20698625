import pytest

from soundgate.evaluation.second_opinion import above, agreement, interval_cell


def estimate(low, high):
    return {"value": (low + high) / 2, "ci_low": low, "ci_high": high, "n": 5}


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ((0.6, 0.8), (0.51, 0.9), "both say so"),
        ((0.1, 0.2), (0.3, 0.4), "both deny it"),
        ((0.4, 0.6), (0.3, 0.7), "neither proves it"),
        ((0.6, 0.8), (0.1, 0.2), "**they disagree**"),
        ((0.1, 0.2), (0.6, 0.8), "**they disagree**"),
        ((0.6, 0.8), (0.4, 0.6), "one proves nothing"),
        ((0.1, 0.2), (0.4, 0.6), "one proves nothing"),
    ],
)
def test_judges_disagree_where_one_proves_what_the_other_disproves(first, second, said):
    assert agreement(above(estimate(*first), 0.5), above(estimate(*second), 0.5)) == said


def test_an_interval_is_three_places_and_none_where_unknown():
    assert interval_cell(estimate(0.1, 0.3)) == "0.200 [0.100, 0.300]"
    assert interval_cell({"value": 0.5, "ci_low": None, "ci_high": None}) == "0.500 [none, none]"
