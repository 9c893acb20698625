"""The learning rate's way through a training."""

import pytest

from soundgate.training.schedule import warm_cosine


def test_the_rate_rises_in_a_line_and_falls_in_a_half_cosine():
    shares = [warm_cosine(step, 100, warm_up=4, final=0.0) for step in (0, 1, 3, 50, 100)]
    assert shares == pytest.approx([0.25, 0.5, 1.0, 0.5, 0.0], abs=3e-3)


def test_without_a_warm_up_it_starts_at_the_top_and_it_ends_at_the_final_share():
    assert warm_cosine(0, 100, warm_up=0, final=0.1) == 1
    assert warm_cosine(100, 100, warm_up=0, final=0.1) == pytest.approx(0.1)
    assert warm_cosine(500, 100, warm_up=0, final=0.1) == pytest.approx(0.1)
