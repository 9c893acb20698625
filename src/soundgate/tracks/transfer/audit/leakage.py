"""Leakage audit: is what looks like style the fingerprint of a source?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd

from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.execution import map_items
from soundgate.tracks.transfer.audit.confounding import confounding
from soundgate.tracks.transfer.audit.probes import (
    N_FOLDS,
    Rows,
    held_out_hits,
    left_out_hits,
    make_rows,
    permuted_hits,
)

VERDICTS = ("flagged", "not answerable", "undecided", "clear")
# Source accuracy above majority that Lab 1's leakage gate lets pass.
TOLERATED = 0.15
# What the mel decoder is fed as content, and should not name the genre.
SEQUENCE = "sequence"

DEFINITIONS = {
    "probe": "standardised logistic regression on four fifths of the groups, scored on the last; five such splits, "
    "so that every row is scored once; interval over groups",
    "majority": "share of the most frequent label among the scored rows",
    "permuted": "accuracy of the same probe where the labels of whole tracks were exchanged",
    "above_majority": "accuracy - majority",
    "gap": "source above_majority - genre above_majority, on the rows that both probes were scored on",
    "gap_normalised": "the same with each above_majority over 1 - majority, which makes up for unequal numbers of "
    "genres and sources",
    "leave_one_source_out": "genre accuracy on a source that, with all its groups, was not trained on",
    "readable": "the interval of a probe's accuracy lies above its majority",
    "flagged": "source is readable and gap > 0; or genre is readable, but left-out sources' accuracy does not lie "
    "above majority by its interval, or cannot be had because no genre is shared by sources; for the corpus: a "
    "genre of a single source",
    "clear": "not flagged, everything answerable, and by its interval either gap <= 0 or source at most "
    f"{TOLERATED} above majority; where the intervals are too wide for that, undecided",
}


def leakage_audit(
    features: Mapping[str, np.ndarray],
    genre: np.ndarray,
    source: np.ndarray,
    group: np.ndarray,
    seed: int,
    n_bootstrap: int,
) -> dict:
    """Ask feature sets for genre and for source, and for genre on sources they never heard.

    Args:
        features: name → float [N, D], best of rows that none of the features' models was trained on.
        genre: [N] names or codes.
        source: [N].
        group: [N], the unit of splitting: score or track.
        seed: of splits, permutations and bootstraps.
        n_bootstrap: resamples.

    Returns:
        ``verdict`` (``flagged``, ``clear``, ``undecided`` or ``not answerable``: of the feature sets the first that
        holds for one, ``clear`` last), ``flagged`` (0 or 1), ``reasons``, ``corpus`` (see `_corpus`), ``features``
        by name (see `_audit`), ``definitions``. Whatever cannot be known is ``{"answerable": False, "reason": ...}``.
    """
    rows = make_rows(genre, source, group, seed, n_bootstrap)
    corpus = _corpus(rows)
    items = [(name, np.asarray(values, dtype=np.float64)) for name, values in features.items()]
    audits = dict(zip(features, map_items(partial(_audit, rows), items, "leakage probes"), strict=True))
    reasons = corpus["reasons"] + [f"{name}: {why}" for name, audit in audits.items() for why in audit["reasons"]]
    verdicts = {audit["verdict"] for audit in audits.values()} | ({"flagged"} if reasons else set())
    return {
        "verdict": min(verdicts, key=VERDICTS.index, default="not answerable"),
        "flagged": int(bool(reasons)),
        "reasons": reasons,
        "corpus": corpus,
        "features": audits,
        "definitions": DEFINITIONS,
    }


def _corpus(rows: Rows) -> dict:
    """Return sizes, the association of genre and source over tracks, and genres that one source alone plays."""
    tracks = pd.DataFrame({"unit": rows.unit, "genre": rows.genre, "source": rows.source}).drop_duplicates("unit")
    n_sources = tracks.groupby("genre")["source"].nunique()
    alone = sorted(n_sources.index[n_sources == 1]) if tracks["source"].nunique() > 1 else []
    return {
        "n_rows": len(rows.genre),
        "n_groups": len(np.unique(rows.group)),
        "n_genres": len(n_sources),
        "n_sources": int(tracks["source"].nunique()),
        "confounding": confounding(tracks["genre"].to_numpy(), tracks["source"].to_numpy()),
        "genres_of_one_source": alone,
        "reasons": [f"genre {genre} is played by one source alone" for genre in alone],
    }


def _audit(rows: Rows, item: tuple[str, np.ndarray]) -> dict:
    """Return one set's ``verdict``, ``reasons``, ``genre``, ``source``, ``gap`` and ``leave_one_source_out``."""
    name, features = item
    if reason := _unusable(rows, features):
        nothing = _unanswerable(reason)
        parts = {"genre": nothing, "source": nothing, "gap": nothing, "leave_one_source_out": nothing}
        return {"verdict": "not answerable", "reasons": [], **parts}
    hits = {label: held_out_hits(features, getattr(rows, label), rows) for label in ("genre", "source")}
    probes = {
        label: _probe(rows, own, getattr(rows, label), permuted_hits(features, getattr(rows, label), rows, label), name)
        for label, own in hits.items()
    }
    gap = _gap(rows, probes, hits, name)
    left_out = _left_out(rows, left_out_hits(features, rows), name)
    reasons = _reasons(probes, gap, left_out)
    return {
        "verdict": _verdict(reasons, probes, gap, left_out),
        "reasons": reasons,
        **probes,
        "gap": gap,
        "leave_one_source_out": left_out,
    }


def _verdict(reasons: list[str], probes: dict, gap: dict, left_out: dict) -> str:
    if reasons:
        return "flagged"
    if not all(part["answerable"] for part in (*probes.values(), gap, left_out)):
        return "not answerable"
    # One group has no interval, and clears nobody.
    gap_high, source_high = (part["ci_high"] for part in (gap, probes["source"]["accuracy"]))
    if gap_high is None or source_high is None:
        return "undecided"
    return "clear" if gap_high <= 0 or source_high <= probes["source"]["majority"] + TOLERATED else "undecided"


def _unanswerable(reason: str) -> dict:
    return {"answerable": False, "reason": reason}


def _unusable(rows: Rows, features: np.ndarray) -> str | None:
    assert features.ndim == 2 and len(features) == len(rows.genre), features.shape
    n_groups = len(np.unique(rows.group))
    if n_groups < N_FOLDS:
        return f"{n_groups} groups: five 80/20 splits need at least {N_FOLDS}"
    n_bad = int((~np.isfinite(features).all(axis=1)).sum())
    return f"{n_bad} of {len(features)} rows are not finite" if n_bad else None


def _majority(labels: np.ndarray) -> float:
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))


def _probe(rows: Rows, hits: np.ndarray, labels: np.ndarray, permuted: np.ndarray, name: str) -> dict:
    scored = np.isfinite(hits)
    classes = np.unique(labels[scored])
    n_classes = len(np.unique(labels))
    if n_classes < 2:
        return _unanswerable("one class: there is nothing to tell apart")
    if len(classes) < 2:
        return _unanswerable(f"{len(classes)} of {n_classes} classes stand in two groups or more: a probe needs two")
    accuracy, majority = rows.estimate(hits, f"{name} accuracy"), _majority(labels[scored])
    return {
        "answerable": True,
        "accuracy": accuracy.as_dict(),
        "majority": majority,
        "permuted": float(np.nanmean(permuted)) if np.isfinite(permuted).any() else None,
        "above_majority": accuracy.value - majority,
        "readable": bool(accuracy.ci_low > majority),
        "n_classes": len(classes),
        "n_rows": int(scored.sum()),
        "classes_of_one_group": sorted(set(labels) - set(classes)),
    }


def _gap(rows: Rows, probes: dict, hits: dict, name: str) -> dict:
    missing = [label for label, probe in probes.items() if not probe["answerable"]]
    if missing:
        return _unanswerable(f"no probe for {' and '.join(missing)}")
    both = np.isfinite(hits["genre"]) & np.isfinite(hits["source"])
    if not both.any():
        return _unanswerable("no row was scored by both probes")
    majority = {label: _majority(getattr(rows, label)[both]) for label in hits}
    excess = {label: np.where(both, own - majority[label], np.nan) for label, own in hits.items()}
    estimate = rows.estimate(excess["source"] - excess["genre"], f"{name} gap")
    source, genre = (_normalised(excess[label][both].mean(), majority[label]) for label in ("source", "genre"))
    normalised = None if source is None or genre is None else source - genre
    return {"answerable": True, **estimate.as_dict(), "gap_normalised": normalised}


def _normalised(excess: float, majority: float) -> float | None:
    return float(excess / (1 - majority)) if majority < 1 else None


def _left_out(rows: Rows, hits: np.ndarray, name: str) -> dict:
    sources = np.unique(rows.source)
    if len(sources) < 2:
        return _unanswerable("one source: there is no other to train on")
    if len(np.unique(rows.genre)) < 2:
        return _unanswerable("one genre: there is nothing to tell apart")
    per_source = {source: _one_source(rows, hits, source, name) for source in sources}
    scored = np.isfinite(hits)
    if not scored.any():
        return _unanswerable("no genre of any source is played by another") | {"per_source": per_source}
    pooled = rows.estimate(hits, f"{name} left out")
    means = [own["accuracy"]["value"] for own in per_source.values() if own["answerable"]]
    return {
        "answerable": True,
        "accuracy": pooled.as_dict(),
        "majority": _majority(rows.genre[scored]),
        "mean_over_sources": float(np.mean(means)),
        "n_rows": int(scored.sum()),
        "n_rows_unanswerable": int((~scored).sum()),
        "above": bool(pooled.ci_low > _majority(rows.genre[scored])),
        "per_source": per_source,
    }


def _one_source(rows: Rows, hits: np.ndarray, source: str, name: str) -> dict:
    own = rows.source == source
    lost = sorted(set(rows.genre[own & ~np.isfinite(hits)]))
    if not np.isfinite(hits[own]).any():
        return _unanswerable(f"too little of {', '.join(lost)} is played by other sources")
    accuracy: Estimate = rows.estimate(np.where(own, hits, np.nan), f"{name} left out {source}")
    scored = own & np.isfinite(hits)
    return {"answerable": True, "accuracy": accuracy.as_dict(), "n_rows": int(scored.sum()), "genres_not_asked": lost}


def _reasons(probes: dict, gap: dict, left_out: dict) -> list[str]:
    reasons = []
    if gap["answerable"] and probes["source"]["readable"] and gap["value"] > 0:
        reasons.append(f"source is easier to read than genre, by {gap['value']:.3f} (majorities taken off)")
    if not probes["genre"].get("readable"):
        return reasons
    if left_out["answerable"] and not left_out["above"]:
        accuracy, majority = left_out["accuracy"]["value"], left_out["majority"]
        reasons.append(f"genre is not known on sources left out: accuracy {accuracy:.3f}, majority {majority:.3f}")
    elif "per_source" in left_out and not left_out["answerable"]:
        reasons.append("genre cannot be told from source: no genre is played by two sources")
    return reasons
