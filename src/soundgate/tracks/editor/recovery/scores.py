"""Accuracy and F1 of labels, with intervals over independent groups."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import stats

from soundgate.evaluation.statistics import FEW_UNITS, Estimate
from soundgate.tracks.editor.vocabulary import BEAT_LABELS, Label

N_LABELS = len(BEAT_LABELS)


def confusion(truth: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return int64 [7, 7]: how many beats of each true label (rows) have each label."""
    return np.bincount(truth * N_LABELS + labels, minlength=N_LABELS**2).reshape(N_LABELS, N_LABELS)


def confusion_rows(table: np.ndarray | list[list[int]]) -> pd.DataFrame:
    """Return one row for each beat, ``actual`` and ``predicted``, as DVC's confusion template counts them.

    Args:
        table: [7, 7], see `confusion`.
    """
    names = np.array([label.name for label in BEAT_LABELS])
    counts = np.asarray(table)
    actual, predicted = np.indices(counts.shape)
    repeats = counts.ravel()
    return pd.DataFrame({
        "actual": names[np.repeat(actual.ravel(), repeats)],
        "predicted": names[np.repeat(predicted.ravel(), repeats)],
    })  # fmt: skip


def accuracy(table: np.ndarray) -> float:
    """Return the share of a confusion table on its diagonal."""
    return float(np.trace(table) / max(table.sum(), 1))


def class_f1(table: np.ndarray) -> np.ndarray:
    """Return each label's F1, [7]; nan where neither truth nor labels have it."""
    both = table.sum(axis=0) + table.sum(axis=1)
    return np.divide(2 * np.diag(table), both, out=np.full(len(table), np.nan), where=both > 0)


def macro_f1(table: np.ndarray) -> float:
    """Return the mean F1 of the labels that the truth has."""
    there = table.sum(axis=1) > 0
    return float(np.nanmean(class_f1(table)[there])) if there.any() else float("nan")


def balanced_accuracy(table: np.ndarray) -> float:
    """Return the mean recall of the labels that the truth has."""
    beats = table.sum(axis=1)
    there = beats > 0
    return float(np.mean(np.diag(table)[there] / beats[there])) if there.any() else float("nan")


def estimate(
    tables: np.ndarray, score: Callable[[np.ndarray], float], generator: np.random.Generator, n_bootstrap: int
) -> Estimate:
    """Estimate a score of the sum of tables with a 95 % interval over them.

    With at least ``FEW_UNITS`` tables the interval is the percentile bootstrap, with fewer the jackknife's with
    Student's t; one has none.

    Args:
        tables: [n, 7, 7], one for each independent group.
        score: of a table.
        generator: of the resampling.
        n_bootstrap: resamples.

    Source: Efron & Tibshirani 1993, chapters 11 and 13.
    """
    n, total = len(tables), tables.sum(axis=0)
    value = score(total)
    if n < 2:
        return Estimate(value, float("nan"), float("nan"), n)
    if n < FEW_UNITS:
        left_out = np.array([score(total - table) for table in tables])
        half = stats.t.ppf(0.975, n - 1) * np.sqrt((n - 1) / n * np.square(left_out - left_out.mean()).sum())
        return Estimate(value, float(value - half), float(value + half), n)
    weights = generator.multinomial(n, np.full(n, 1 / n), size=n_bootstrap)
    drawn = [score(np.tensordot(own, tables, axes=1)) for own in weights]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(value, float(low), float(high), n)


def controls(table: np.ndarray) -> dict[str, dict[str, float]]:
    """Return the scores of labels that know nothing: the majority's, and KEEP for all."""
    counts = table.sum(axis=1)
    known = {"majority": int(counts.argmax()), "all_keep": int(Label.KEEP)}
    result = {}
    for name, label in known.items():
        constant = np.zeros_like(table)
        constant[:, label] = counts
        result[name] = {"accuracy": accuracy(constant), "macro_f1": macro_f1(constant)}
    return result
