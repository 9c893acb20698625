"""What the stored embeddings know of their rooms: T60 and C50 by ridge regression, and which room it is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from soundgate.evaluation.statistics import Estimate, ratio_estimate
from soundgate.runtime.randomness import keyed_generator

STAGE = "rooms-manifest"
ALPHAS = tuple(10.0**power for power in range(-2, 6))
LABELS = {"t60": "rt60_s", "c50": "c50_db"}


def probe_embeddings(triples: list[dict], embeddings: np.ndarray, irs: Mapping[str, Mapping], seed: int) -> dict:
    """Probe stored embeddings.

    Args:
        triples: what is known of each triple.
        embeddings: as stored with them, float32 ``[n, D]``.
        irs: entries of the catalogue.
        seed: of resampling, and of the control that deals embeddings out anew over rooms.

    Returns:
        ``t60_r2`` and ``c50_r2``: explained variance in rooms that were left out of the fit, 0 for a guess of the other
        rooms' mean; ``retrieval``: share of responses whose nearest other response is of the same room, of rooms that
        have two. Each is an estimate over rooms, with ``control`` (shuffled embeddings) and ``zero`` (all zero).
        A value is None where there are fewer than three rooms, or none with two responses.
    """
    pairs = {(triple["target_ir"], row.tobytes()): row for triple, row in zip(triples, embeddings, strict=True)}
    names = [name for name, _ in pairs]
    vectors = np.array(list(pairs.values()), np.float64).reshape(len(pairs), embeddings.shape[1])
    rooms = np.array([irs[name]["room_id"] for name in names])
    shuffled = vectors[keyed_generator(seed, STAGE, "shuffled").permutation(len(vectors))]
    inputs = {"value": vectors, "control": shuffled, "zero": np.zeros_like(vectors)}
    result = {}
    for label, column in LABELS.items():
        truth = np.array([irs[name][column] for name in names])
        found = {kind: _explained(given, truth, rooms, seed) for kind, given in inputs.items()}
        result[f"{label}_r2"] = _with_controls(found)
    found = {kind: _retrieved(given, np.array(names), rooms, seed) for kind, given in inputs.items()}
    return result | {"retrieval": _with_controls(found), "n_embeddings": len(names)}


def _with_controls(found: dict[str, Estimate | None]) -> dict:
    own = found["value"]
    if own is None:
        return {"value": None, "ci": [None, None], "n": 0, "control": None, "zero": None}
    fields = own.as_dict()
    controls = {kind: found[kind].as_dict()["value"] for kind in ("control", "zero")}
    return {"value": fields["value"], "ci": [fields["ci_low"], fields["ci_high"]], "n": own.n} | controls


def _explained(vectors: np.ndarray, truth: np.ndarray, rooms: np.ndarray, seed: int) -> Estimate | None:
    """Return R² with each room predicted by a ridge fitted to the others, its strength chosen among these alone."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    units = np.unique(rooms)
    if len(units) < 3:
        return None
    error, base = np.zeros(len(units)), np.zeros(len(units))
    for number, room in enumerate(units):
        out = rooms == room
        model = make_pipeline(StandardScaler(), RidgeCV(ALPHAS)).fit(vectors[~out], truth[~out])
        error[number] = np.square(model.predict(vectors[out]) - truth[out]).sum()
        base[number] = np.square(truth[~out].mean() - truth[out]).sum()
    return ratio_estimate(base - error, base, keyed_generator(seed, STAGE, "explained"))


def _retrieved(vectors: np.ndarray, names: np.ndarray, rooms: np.ndarray, seed: int) -> Estimate | None:
    """Return how often the nearest other response (by cosine) is of the same room; ties count by their share."""
    lengths = np.linalg.norm(vectors, axis=1)
    unit = vectors / np.where(lengths > 0, lengths, 1)[:, None]
    table = []
    for number, (name, room) in enumerate(zip(names, rooms, strict=True)):
        others = names != name
        if not np.any(others & (rooms == room)):
            continue
        nearness = unit[others] @ unit[number]
        nearest = nearness >= nearness.max() - 1e-12
        table.append({"room": room, "hit": np.mean(rooms[others][nearest] == room)})
    if not table:
        return None
    sums = pd.DataFrame(table).groupby("room")["hit"].agg(["sum", "count"])
    return ratio_estimate(sums["sum"].to_numpy(), sums["count"].to_numpy(), keyed_generator(seed, STAGE, "retrieved"))
