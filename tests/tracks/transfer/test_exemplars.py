"""Exemplars have to matter: a path that knows the style's name only is caught."""

from dataclasses import dataclass

import numpy as np
import pytest

from soundgate.tracks.transfer.outside.clips import Clip
from soundgate.tracks.transfer.outside.exemplars import exemplar_gate, exemplar_response
from soundgate.tracks.transfer.samples.transfers import Output
from tests.tracks.transfer.planted import GENRES, planted_cache


@dataclass(frozen=True)
class Playing:
    """Moves a flat spectrogram by the exemplar and by noise, dB."""

    exemplar: float
    noise: float
    mode: str = "centroid"

    def __call__(self, rows, codes, generator):
        level = self.exemplar * generator.choice((-0.5, 0.5)) if self.mode == "exemplar" else 0.0
        mels = np.full((1, 96, 256), level) + self.noise * generator.standard_normal((1, 96, 256))
        return Output(mels, None, 0)


@pytest.fixture(scope="module")
def cache():
    return planted_cache(40)


@pytest.fixture(scope="module")
def clips(cache):
    genre = cache.index["genre"].to_numpy()
    rows = cache.rows("test")[::2]
    return [Clip(int(row), genre[row], GENRES[1 - GENRES.index(genre[row])], None) for row in rows]


def response(cache, clips, **options):
    return exemplar_response(cache, Playing(**options), clips, 0, 200)


def test_a_path_that_ignores_its_exemplar_fails_however_noisy_it_is(cache, clips):
    for noise in (0.0, 5.0):
        found = response(cache, clips, exemplar=0.0, noise=noise)
        gate = exemplar_gate(found)
        assert gate["verdict"] == "fail" and gate["value"] == pytest.approx(0, abs=0.05) == gate["control"]
        assert found["noise_db"].value == pytest.approx(2 / np.sqrt(np.pi) * noise, rel=0.05)


def test_a_path_that_follows_its_exemplar_passes(cache, clips):
    found = response(cache, clips, exemplar=20.0, noise=0.0)
    # Two draws of two exemplars are the same half of the time.
    assert found["exemplar_db"].value == pytest.approx(10, abs=5)
    assert found["sources_db"].value > 0.5 and exemplar_gate(found)["verdict"] == "pass"


def test_without_recordings_of_one_score_by_several_sources_nothing_can_be_said(cache, clips):
    one = (cache.index["source"] != "s1").to_numpy()
    alone = type(cache)(cache.index[one].reset_index(drop=True), cache.mels[one])
    genre = alone.index["genre"].to_numpy()
    own = [Clip(int(row), genre[row], GENRES[1 - GENRES.index(genre[row])], None) for row in alone.rows("test")]
    found = response(alone, own, exemplar=1.0, noise=0.0)
    assert found["response"].value is None or np.isnan(found["response"].value)
