import pytest

from soundgate.evaluation.hearing import answer
from soundgate.evaluation.statistics import Estimate

NAN = float("nan")


@pytest.mark.parametrize(
    ("low", "twin", "chance", "deaf"),
    [
        (0.1, None, 0.0, False),
        (0.0, None, 0.0, True),
        (0.1, 0.05, 0.0, False),
        (0.1, 0.1, 0.0, True),
        (0.6, 0.2, 0.7, True),
        (NAN, None, 0.0, True),
    ],
)
def test_a_judge_hears_where_its_interval_lies_above_chance_and_above_one_that_knows_nothing(low, twin, chance, deaf):
    found = answer("one voice from another", Estimate(0.9, low, 1.0, 5), twin, chance)
    assert found["deaf"] == deaf and (found["asked"], found["value"], found["n"]) == ("one voice from another", 0.9, 5)
    assert (found["twin"], found["chance"]) == (twin, chance)
