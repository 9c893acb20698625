"""The conditioned model learns what is planted, and gains nothing from embeddings that say nothing."""

import json

import numpy as np
import pytest

from soundgate.tracks.rooms.helping import ProbeSettings, Sums, embedding_helps, triple_sums
from soundgate.tracks.rooms.stored import stored_triples

from .conftest import RATE

SETTINGS = ProbeSettings(
    n_triples=100, n_folds=5, n_components=2, ridge=1e-3, n_seeds=3, embedding_helps_model=0.05
)  # fmt: skip


@pytest.fixture(scope="module")
def planted():
    """Fifteen rooms of four triples, whose targets depend on one number of the room; embeddings that hold it."""
    generator = np.random.default_rng(0)
    same, moved = generator.standard_normal((2, 4, 3))
    triples, embeddings, sums = [], [], []
    for room in range(15):
        own = generator.standard_normal()
        for _ in range(4):
            features = np.concatenate([generator.standard_normal((3, 50)), np.ones((1, 50))])
            target = (same + own * moved).T @ features + 0.1 * generator.standard_normal((3, 50))
            triples.append({"target_room": f"r{room}", "target_ir": f"r{room}-1"})
            embeddings.append([own, 2 * own, 0.1 * generator.standard_normal()])
            sums.append(Sums(features @ features.T, features @ target.T, float(np.square(target).sum()),
                             float(np.square(target - features[:3]).sum()), target.size))  # fmt: skip
    return triples, np.array(embeddings, np.float32), sums


def helps(planted, embeddings=None):
    triples, own, sums = planted
    found = embedding_helps(triples, own if embeddings is None else embeddings, sums, SETTINGS, 0)
    json.dumps(found, allow_nan=False)
    return found


def test_right_embeddings_help_and_the_model_learns_all_there_is(planted):
    found = helps(planted)
    assert found["gain_db"]["ci"][0] > 0.5 and found["gain_db"]["n"] == 15 and found["n_triples"] == 60
    assert found["right_db"] == pytest.approx(0.1, abs=0.05)
    assert found["gain_db"]["value"] == pytest.approx(min(found["wrong_db"], found["without_db"]) - found["right_db"])
    assert found["identity_db"] > found["without_db"] and found == helps(planted)


def zero(own):
    return np.zeros_like(own)


def noise(own):
    return np.random.default_rng(1).standard_normal(own.shape).astype(np.float32)


def another_room(own):
    return np.roll(own, 8, axis=0)


@pytest.mark.parametrize("change", [zero, noise, another_room])
def test_embeddings_that_say_nothing_do_not(planted, change):
    found = helps(planted, change(planted[1]))
    assert found["gain_db"]["value"] < SETTINGS.embedding_helps_model
    assert found["gain_db"]["ci"][0] < SETTINGS.embedding_helps_model
    if change is zero:
        assert [found["gain_db"]["value"], *found["gain_db"]["ci"]] == pytest.approx([0, 0, 0], abs=1e-9)


def test_embeddings_that_name_a_room_do_not_help_in_others(planted):
    """One number for each room, in no order: the room tried is never among those learned from."""
    names = np.repeat(np.eye(15, dtype=np.float32), 4, axis=0)
    assert helps(planted, names)["gain_db"]["value"] < SETTINGS.embedding_helps_model


def test_sums_are_of_the_stored_spectrograms(batches, manifest):
    triples, embeddings = stored_triples(batches, manifest)
    sums = triple_sums(batches, triples, RATE)
    assert len(sums) == len(triples) == 20
    for one in sums:
        assert one.gram.shape == (193, 193) and one.cross.shape == (193, 24)
        assert one.gram[-1, -1] == one.count / 24 and one.power > 0 and one.identity > 0
    found = embedding_helps(triples, embeddings, sums, SETTINGS, 0)
    assert 0 < found["right_db"] < 30 and found["gain_db"]["n"] == 4
