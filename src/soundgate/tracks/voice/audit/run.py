"""The audit: every pair by converter, baselines and controls, heard by listeners that share nothing with it."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from soundgate.tracks.voice.audit.hearing import Hearing, Listeners
from soundgate.tracks.voice.audit.pairs import SEEN, UNSEEN, draw_evaluation
from soundgate.tracks.voice.audit.reconstruction import FIGURES, Reconstruction, reconstruction_table
from soundgate.tracks.voice.audit.settings import AuditSettings
from soundgate.tracks.voice.audit.systems import (
    CONVERTED,
    COPY_SYNTHESIS,
    IDENTITY,
    RANDOM,
    System,
    baselines,
    by_converter,
    controls,
)
from soundgate.tracks.voice.baselines.methods import KNN, WORLD_OT
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.model.converter import VoiceConverter

SCORES = ("similarity_to_target", "similarity_gap", *FIGURES, "f0_correlation", "content_agreement")
SCORE_COLUMNS = ["source", "target", "utterance", "measure", "value"]


class Audit(NamedTuple):
    """What was measured.

    Args:
        pairs: one row for each pair and system, see `Hearing.table`; controls other than ``identity`` of unseen
            speakers alone.
        reconstruction: one row for each utterance and method, see `reconstruction_table`.
    """

    pairs: pd.DataFrame
    reconstruction: pd.DataFrame


def run_audit(
    settings: AuditSettings,
    cache: VoiceCache,
    model: VoiceConverter,
    listeners: Listeners,
    converter: System | None = None,
) -> Audit:
    """Measure unseen speakers with all baselines and controls, and speakers trained on with the source as it is.

    Args:
        settings: see `AuditSettings`.
        cache: of the utterances.
        model: trained, in evaluation mode.
        listeners: see `Listeners`.
        converter: what is audited in place of ``model``.

    Raises:
        CorpusError: see `draw_evaluation`.
    """
    evaluation = settings.evaluation
    unseen = draw_evaluation(cache, UNSEEN, evaluation.n_pairs, evaluation)
    parts = (cache, unseen.roles, evaluation.duration_s)
    own, others = converter or by_converter(model, *parts), controls(model, *parts) | baselines(*parts)
    hearing = Hearing(listeners, cache, unseen, evaluation.duration_s)
    tables = [hearing.table(name, system) for name, system in ({CONVERTED: own} | others).items()]
    setup = Reconstruction(
        {name: others[name] for name in (COPY_SYNTHESIS, RANDOM, WORLD_OT, KNN)},
        settings.griffin_lim_iterations,
        evaluation.duration_s,
    )
    reconstruction = reconstruction_table(cache, unseen.pairs, setup)
    if evaluation.n_seen_pairs and converter is None:
        seen = draw_evaluation(cache, SEEN, evaluation.n_seen_pairs, evaluation)
        hearing = Hearing(listeners, cache, seen, evaluation.duration_s)
        own = by_converter(model, cache, seen.roles, evaluation.duration_s)
        identity = controls(model, cache, seen.roles, evaluation.duration_s)[IDENTITY]
        tables += [hearing.table(CONVERTED, own), hearing.table(IDENTITY, identity)]
    return Audit(pd.concat(tables, ignore_index=True), reconstruction)


def scores_of(audit: Audit, cache: VoiceCache) -> pd.DataFrame:
    """Return the converter's ``SCORES`` of unseen speakers, one row for each pair and measure.

    Those of reconstruction (``FIGURES``) have the source as their target. A pair that a measure says nothing
    of (no voiced frame in the source) has no row.
    """
    own = audit.pairs[(audit.pairs["system"] == CONVERTED) & (audit.pairs["split"] == UNSEEN)]
    made = audit.reconstruction[audit.reconstruction["method"] == COPY_SYNTHESIS]
    made = made.assign(target=made["source"], utterance=cache.table["utterance"].to_numpy()[made["row"]])
    identity = SCORE_COLUMNS[:3]
    parts = [
        table.melt(identity, [name for name in SCORES if name in table], "measure", "value") for table in (own, made)
    ]
    scores = pd.concat(parts, ignore_index=True).dropna(subset="value")
    return scores.sort_values([*identity, "measure"], ignore_index=True)[SCORE_COLUMNS]
