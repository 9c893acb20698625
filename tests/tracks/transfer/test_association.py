"""Association of genre and source in tables whose figures are written out."""

from __future__ import annotations

import numpy as np
import pytest

from soundgate.tracks.transfer.audit.confounding import confounding


def labels_of(counts):
    pairs = [(g, s) for g, row in enumerate(counts) for s, n in enumerate(row) for _ in range(n)]
    return np.array(pairs).T


@pytest.mark.parametrize("counts", [[[8, 2], [1, 9]], [[5, 1, 2], [2, 7, 3]], [[4, 1], [2, 6], [1, 3]]])
def test_figures_are_cramers_bergsmas_and_theils(counts):
    genre, source = labels_of(counts)
    found = confounding(genre, source)
    table = np.array(counts, float)
    n, (r, c) = table.sum(), table.shape
    expected = np.outer(table.sum(1), table.sum(0)) / n
    phi = (np.square(table - expected) / expected).sum() / n
    assert found["cramers_v"] == pytest.approx(np.sqrt(phi / (min(r, c) - 1)))
    left = phi - (r - 1) * (c - 1) / (n - 1)
    size = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    assert found["cramers_v_corrected"] == pytest.approx(np.sqrt(max(0, left) / size))
    share, p, q = table / n, table.sum(1) / n, table.sum(0) / n
    mutual = sum(share[i, j] * np.log(share[i, j] / (p[i] * q[j])) for i in range(r) for j in range(c))
    own, other = -(p * np.log(p)).sum(), -(q * np.log(q)).sum()
    assert found["genre_explained_by_source"] == pytest.approx(mutual / own)
    assert found["normalised_mutual_information"] == pytest.approx(2 * mutual / (own + other))


def test_tables_at_the_ends_have_0_and_1():
    same = confounding(*labels_of([[9, 0], [0, 9]]))
    assert [same[key] for key in list(same)[1:]] == pytest.approx([1, 1, 1, 1])
    none = confounding(*labels_of([[9, 9], [9, 9]]))
    assert [none[key] for key in list(none)[1:]] == pytest.approx([0, 0, 0, 0], abs=1e-9)
    # Two tracks of two sources: nothing is left to divide by.
    assert confounding(np.array([0, 1]), np.array([0, 1]))["cramers_v_corrected"] == 0


def test_two_genres_and_two_sources_are_needed():
    for counts in ([[5, 5]], [[5], [5]]):
        assert not confounding(*labels_of(counts))["answerable"]
