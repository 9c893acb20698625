"""The audit: transfers and controls scored, summarised, judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import Field

from soundgate.audio.mel import MelSettings
from soundgate.evaluation.statistics import Estimate
from soundgate.runtime.config import Section
from soundgate.runtime.errors import CorpusError
from soundgate.tracks.transfer.audit.baselines import KIND as BASELINE
from soundgate.tracks.transfer.audit.baselines import baseline_outputs, sequences
from soundgate.tracks.transfer.audit.competing import Contest, contest
from soundgate.tracks.transfer.audit.copying import copied
from soundgate.tracks.transfer.audit.exits import Thresholds
from soundgate.tracks.transfer.audit.leakage import SEQUENCE, leakage_audit
from soundgate.tracks.transfer.audit.own_style import own_style
from soundgate.tracks.transfer.audit.score_truth import score_agreement
from soundgate.tracks.transfer.audit.scores import Scorer, mels_of
from soundgate.tracks.transfer.audit.summary import by_kind, by_pair, by_target, control_outputs, diversity


class AuditSettings(Section):
    """Section ``transfer.audit``.

    Args:
        thresholds: of the gates.
        n_bootstrap: draws of the intervals.
    """

    thresholds: Thresholds
    n_bootstrap: int = Field(ge=1)


@dataclass(frozen=True)
class Audit:
    """What the audit found.

    Args:
        kinds: path → kind → score → estimate; of baselines and controls too.
        pairs: one row for each path, baseline or control, and ordered pair of genres.
        targets: one row for each path, baseline or control, and target genre.
        contest: the paths against the best baseline.
        own_style: see `soundgate.tracks.transfer.audit.own_style.own_style`.
        copied: share of transfers that copy a training item, by path.
        diversity: similarity of the transfers to one target, by path.
        leakage: see `soundgate.tracks.transfer.audit.leakage.leakage_audit`.
    """

    kinds: dict
    pairs: pd.DataFrame
    targets: pd.DataFrame
    contest: Contest
    own_style: dict[str, dict[str, Estimate]]
    copied: dict[str, float]
    diversity: dict[str, float]
    leakage: dict


def run_audit(
    settings: AuditSettings, scorer: Scorer, transfers: pd.DataFrame, mels: np.ndarray, notes: pd.DataFrame,
    features: dict[str, np.ndarray], mel: MelSettings, seed: int,
) -> Audit:  # fmt: skip
    """Audit transfers.

    Args:
        settings: see `AuditSettings`.
        scorer: both judges.
        transfers: the table of what was made, in the order of ``mels``.
        mels: [R, n_mels, 256] dB.
        notes: of the scores; empty where they are unknown.
        features: name → float [N, D] of every chunk, for the leakage audit.
        mel: settings of the spectrograms.
        seed: of the draws.

    Raises:
        CorpusError: nothing was transferred.
    """
    transferred = transfers[transfers["kind"] == "transfer"]
    if not len(transferred):
        found = f"{len(transfers)} outputs, none of them transferred"
        raise CorpusError(
            "transfer-samples",
            expected="transfers to audit",
            found=found,
            remedy="A transfer needs a test track (transfer.cache.split) and a second genre.",
        )
    wanted = transferred[transferred["path"] == transferred["path"].iloc[0]]
    controls, control_mels = control_outputs(scorer, wanted, seed)
    baselines, baseline_mels = baseline_outputs(scorer, wanted)
    columns = ["path", "kind", "row", "source_genre", "target_genre"]
    table = pd.concat([transfers[columns], controls[columns], baselines[columns]], ignore_index=True)
    every = np.concatenate([mels.astype(np.float32), control_mels, baseline_mels])
    scored = scorer.score(table, every)
    scored = pd.concat([scored, score_agreement(table, every, scorer.cache.index, notes, mel)], axis=1)
    made = scored[scored["kind"] == "transfer"]
    compared = scored[scored["kind"].isin(["transfer", BASELINE, "no_transfer", "true_target"])]
    compared = compared.assign(path=compared["path"].where(compared["path"] != "control", compared["kind"]))
    test = scorer.test_rows
    index = scorer.cache.index.iloc[test]
    return Audit(
        by_kind(scored, seed, settings.n_bootstrap),
        by_pair(compared, seed, settings.n_bootstrap),
        by_target(compared),
        contest(scored, seed, settings.n_bootstrap),
        own_style(scorer, transfers, mels, seed, settings.n_bootstrap),
        _copied(scorer, made, every),
        diversity(made, every),
        leakage_audit(
            {name: values[test] for name, values in features.items()} | {SEQUENCE: _sequence_statistics(scorer)},
            index["genre"].to_numpy(), index["source"].to_numpy(), index["group"].to_numpy(),
            seed, settings.n_bootstrap,
        ),
    )  # fmt: skip


def _sequence_statistics(scorer: Scorer) -> np.ndarray:
    """Return mean and deviation over time of what the mel decoder is fed, float [n, 2 D], of the test rows."""
    heard = sequences(scorer, mels_of(scorer.cache, scorer.test_rows))
    return np.concatenate([heard.mean(axis=1), heard.std(axis=1)], axis=1)


def _copied(scorer: Scorer, made: pd.DataFrame, mels: np.ndarray) -> dict[str, float]:
    """Return the share of copies by path, among training items of the target genre."""
    cache, hear = scorer.cache, scorer.judges.content
    train = cache.rows("train")
    genre, training = cache.index["genre"].to_numpy()[train], hear(mels_of(cache, train))
    shares = {}
    for path, own in made.groupby("path", sort=False):
        same = own["target_genre"].to_numpy()[:, None] == genre[None, :]
        sources = hear(mels_of(cache, own["row"].to_numpy()))
        shares[path] = float(copied(hear(mels[own.index]), sources, training, same).mean())
    return shares
