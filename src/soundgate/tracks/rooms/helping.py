"""Whether embeddings help a model: a small conditioned one learns to dereverberate with right and with wrong ones.

The model is linear, so that it is learned in closed form and for every room left out: from the log-mel spectrogram
of the source, now, 20 ms ahead and up to 0.44 s back, to that of the target, each weight itself linear in the
first principal components of the embedding (FiLM, one layer deep).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pydantic import Field

from soundgate.audio.mel import MelSettings, MelTransform
from soundgate.evaluation.statistics import ratio_estimate
from soundgate.runtime.config import Section
from soundgate.runtime.execution import map_items
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.rooms.batches import FULL_SCALE, SOURCE, TARGET, open_batch

STAGE = "rooms-probe"
HOP_S, N_MELS, WINDOW_S = 0.02, 24, 0.04
LAGS = (-1, 0, 1, 2, 4, 8, 14, 22)  # frames back
FLOOR_DB = -60.0
_SILENT_DB = -55.0  # Frames whose target is nowhere above count as silence.


class ProbeSettings(Section):
    """Section ``rooms.probe``."""

    n_triples: int = Field(ge=2, description="most that are learned from and tried on")
    n_folds: int = Field(ge=2, description="target rooms are left out in as many groups")
    n_components: int = Field(ge=1, description="of the embedding that move the weights")
    ridge: float = Field(gt=0, description="against the mean power of a feature")
    n_seeds: int = Field(ge=1, description="dealings out of wrong embeddings")
    embedding_helps_model: float = Field(description="dB that wrong embeddings, and none, are further from the target")


@dataclass(frozen=True)
class Sums:
    """One triple, as least squares needs it.

    Args:
        gram: features by features, float64 [d, d].
        cross: features by targets, float64 [d, M].
        power: summed squares of the targets.
        identity: summed squares of source less target.
        count: values summed over.
    """

    gram: np.ndarray
    cross: np.ndarray
    power: float
    identity: float
    count: int


def triple_sums(batches: Path, triples: list[dict], sample_rate: int) -> list[Sums]:
    """Read every triple's source and target and return what is learned from."""
    return list(map_items(partial(_sums, batches.absolute(), sample_rate), triples, "Log-mel spectrograms"))


def _sums(batches: Path, sample_rate: int, triple: dict) -> Sums:
    """Spectrograms are in dB without their own mean, so that nothing is learned of levels."""
    arrays = open_batch(batches / triple["file"])
    n_fft = 2 ** round(np.log2(WINDOW_S * sample_rate))
    mel = MelTransform(
        MelSettings(sample_rate=sample_rate, n_fft=n_fft, hop_length=round(HOP_S * sample_rate), n_mels=N_MELS)
    )
    wavs = np.stack([arrays[name][triple["row"]] for name in (SOURCE, TARGET)]).astype(np.float32) / FULL_SCALE
    source, target = mel(torch.from_numpy(wavs)).numpy().astype(np.float64).clip(FLOOR_DB)
    used = target.max(axis=0) > _SILENT_DB
    source, target = (spectrogram - spectrogram[:, used].mean() for spectrogram in (source, target))
    n_frames, back, ahead = source.shape[1], max(LAGS), -min(LAGS)
    padded = np.pad(source, ((0, 0), (back, ahead)), mode="edge")
    shifted = [padded[:, back - lag : back - lag + n_frames] for lag in LAGS]
    features = np.concatenate([*shifted, np.ones((1, n_frames))])[:, used]
    target = target[:, used]
    return Sums(
        gram=features @ features.T, cross=features @ target.T, power=float(np.square(target).sum()),
        identity=float(np.square(source[:, used] - target).sum()), count=target.size,
    )  # fmt: skip


def embedding_helps(
    triples: list[dict], embeddings: np.ndarray, sums: list[Sums], settings: ProbeSettings, seed: int
) -> dict:
    """Learn with right embeddings, with those of other rooms, and with none; try each on rooms left out.

    Args:
        triples: what is known of each: ``target_ir``, ``target_room``.
        embeddings: as stored with them, float32 ``[n, D]``.
        sums: of each triple.
        settings: see `ProbeSettings`.
        seed: of the folds and of the wrong embeddings.

    Returns:
        ``gain_db``: how much nearer the target (root mean square, dB) the model comes in a room with right embeddings
        than its ``opponent``, mean over rooms with its interval. The opponent is the better one of the model with wrong
        embeddings (mean over dealings) and the one without. And the distances: ``right_db``, ``wrong_db``,
        ``without_db``, ``identity_db`` (the source itself, the model untrained).
    """
    rooms = np.array([triple["target_room"] for triple in triples])
    units = np.unique(rooms)
    distances = {"identity": np.array([one.identity for one in sums])}
    folds = _folds(units, settings.n_folds, seed)
    learn = partial(_left_out, sums, rooms, folds, settings)
    distances["right"] = learn(embeddings.astype(np.float64))
    distances["without"] = learn(np.zeros((len(triples), 1)))
    wrong = [
        learn(embeddings[_other_rooms(rooms, seed, number)].astype(np.float64)) for number in range(settings.n_seeds)
    ]

    def by_room(squares: np.ndarray) -> np.ndarray:
        counts = np.array([one.count for one in sums])
        return np.sqrt([squares[rooms == room].sum() / counts[rooms == room].sum() for room in units])

    found = {name: by_room(squares) for name, squares in distances.items()}
    found["wrong"] = np.mean([by_room(squares) for squares in wrong], axis=0)
    opponent = min(("wrong", "without"), key=lambda name: found[name].mean())
    gain = ratio_estimate(
        found[opponent] - found["right"], np.ones(len(units)), keyed_generator(seed, STAGE, "rooms")
    ).as_dict()
    return {
        "gain_db": {"value": gain["value"], "ci": [gain["ci_low"], gain["ci_high"]], "n": gain["n"]},
        "opponent": opponent, "n_triples": len(triples),
    } | {f"{name}_db": float(values.mean()) for name, values in found.items()}  # fmt: skip


def _folds(rooms: np.ndarray, n_folds: int, seed: int) -> list[np.ndarray]:
    order = keyed_generator(seed, STAGE, "folds").permutation(rooms)
    return [order[number::n_folds] for number in range(min(n_folds, len(rooms)))]


def _other_rooms(rooms: np.ndarray, seed: int, number: int) -> np.ndarray:
    """Return for each triple one that lends it its embedding; rooms lend in a ring, so never to themselves."""
    generator = keyed_generator(seed, STAGE, f"wrong {number}")
    order = generator.permutation(np.unique(rooms))
    lender = dict(zip(order, np.roll(order, 1), strict=True))
    return np.array([generator.choice(np.flatnonzero(rooms == lender[room])) for room in rooms])


def _left_out(
    sums: list[Sums], rooms: np.ndarray, folds: list[np.ndarray], settings: ProbeSettings, given: np.ndarray
) -> np.ndarray:
    """Return each triple's squared error, by a model that was learned without its room."""
    errors = np.zeros(len(sums))
    gram, cross = (np.stack([getattr(one, name) for one in sums]) for name in ("gram", "cross"))
    for fold in folds:
        out = np.isin(rooms, fold)
        conditions = _conditions(given, ~out, settings.n_components)
        weights = _learned(gram[~out], cross[~out], conditions[~out], settings.ridge)
        for number in np.flatnonzero(out):
            own = np.tensordot(conditions[number], weights, 1)
            explained = 2 * np.sum(own * cross[number]) - np.sum(own * (gram[number] @ own))
            errors[number] = sums[number].power - explained
    return errors


def _conditions(given: np.ndarray, known: np.ndarray, n_components: int) -> np.ndarray:
    """Return 1 and the first principal components, of variance 1 over the rooms that are known, [n, 1 + k]."""
    centred = given - given[known].mean(axis=0)
    spread = centred[known].std(axis=0)
    centred = centred / np.where(spread > 0, spread, 1)
    _, strength, axes = np.linalg.svd(centred[known], full_matrices=False)
    kept = axes[:n_components][strength[:n_components] > 1e-6 * max(strength[0], 1)]
    components = centred @ kept.T
    return np.concatenate([np.ones((len(given), 1)), components / components[known].std(axis=0)], axis=1)


def _learned(gram: np.ndarray, cross: np.ndarray, conditions: np.ndarray, ridge: float) -> np.ndarray:
    """Return the ridge solution for features times conditions, [1 + k, d, M]."""
    n, d = conditions.shape[1], gram.shape[1]
    whole = np.einsum("nij,na,nb->aibj", gram, conditions, conditions, optimize=True).reshape(n * d, n * d)
    right = np.einsum("nij,na->aij", cross, conditions, optimize=True).reshape(n * d, -1)
    whole[np.diag_indices(n * d)] += ridge * np.trace(whole) / (n * d)
    return np.linalg.solve(whole, right).reshape(n, d, -1)
