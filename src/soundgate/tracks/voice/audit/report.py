"""The audit for people: verdicts first, then what they rest on, then what may be concluded."""

from __future__ import annotations

import pandas as pd

from soundgate.evaluation.tables import gates_overview, markdown_table, number_cell, rounded
from soundgate.tracks.voice.audit.controlled import best_of, controlled_rows
from soundgate.tracks.voice.audit.pairs import SEEN, UNSEEN
from soundgate.tracks.voice.audit.reconstruction import FIGURES, METHODS
from soundgate.tracks.voice.audit.systems import CONVERTED, TARGET

# With fewer speakers an interval rests on too few degrees of freedom to mean much.
_FEW_SPEAKERS = 6
_COLUMNS = {
    "similarity_to_target": "to target",
    "similarity_to_source": "to source",
    "closer": "closer to target",
    "encoder_closer": "the same by the training's encoder",
    "follows": "follows",
    "f0_correlation": "F0 correlation",
    "f0_error": "F0 error (semitones)",
    "content_agreement": "content",
    "content_shuffled": "content of another utterance",
}


def report_markdown(found: dict, gates: dict[str, dict]) -> str:
    """Return the report.

    Args:
        found: from `soundgate.tracks.voice.audit.summary.summarise`.
        gates: verdicts by name, of the whole track.
    """
    parts = ["# Voice conversion: exit audit", "", *gates_overview(gates)]
    parts += [
        "",
        "## Gates",
        "",
        "A gate is decided where its whole interval is on one side of the threshold. `best baseline`: of the",
        "methods without training the one with the best value of that measure. A gate that a control passes too",
        "says nothing of what was learnt.",
        "",
    ]
    parts += [markdown_table(controlled_rows(gates)), "", "## Conversion, speakers nobody trained on", ""]
    parts += [
        "Similarities are the held-out judge's cosines with other utterances of the speaker. `follows`: similarity to",
        "the target less that to uninvolved speakers. `content`: share of audible frames with the same unit as the",
        "source, a proxy, no word error rate. F0 error: from the mean of utterances of the target that nothing was",
        "given. `world_f0`, `world_env`, `world_ot` and `knn` need no training.",
        "",
        markdown_table(rounded(_systems(found["systems"][UNSEEN]))),
    ]
    if SEEN in found["systems"]:
        parts += ["", "## Conversion, speakers trained on, utterances held out", ""]
        parts += [markdown_table(rounded(_systems(found["systems"][SEEN])))]
    parts += ["", "## Reconstruction, speakers nobody trained on", ""]
    parts += [
        "`copy_synthesis`: the converter in the source's own voice; `griffin_lim`: from the true mel;",
        "`world_ot`, `knn`: baselines in the source's own voice.",
        "",
    ]
    parts += [markdown_table(rounded(_reconstruction(found["reconstruction"])))]
    parts += ["", "## What this allows to conclude", "", *(f"- {line}" for line in conclusions(found)), ""]
    return "\n".join(parts)


def conclusions(found: dict) -> list[str]:
    """Return in words what the figures do and do not show."""
    systems = found["systems"][UNSEEN]
    own, n_speakers = systems[CONVERTED], systems[CONVERTED]["closer"]["n"]
    lines = [f"{n_speakers} test speakers, sources and targets, whom no training heard; intervals are over speakers."]
    if n_speakers < _FEW_SPEAKERS:
        lines.append(
            f"{n_speakers} speakers are too few for an interval to mean much: a gate that passes here says that nothing"
            " is grossly wrong, not that it works for other voices; one that fails may fail for want of speakers."
        )
    if _proves(systems[TARGET]["closer"], 0.5) is not True:
        lines.append("The judge does not reliably hear real utterances of the targets: no other verdict of it counts.")
    lines.append(
        {
            True: "Conversions are closer to the target than to the source for the majority of pairs.",
            False: "Conversions are closer to the source than to the target for the majority of pairs.",
            None: "Nothing shows that conversions are closer to the target than to the source.",
        }[_proves(own["closer"], 0.5)]
    )
    gap = found["encoder_over_judge"]
    lines.append(
        f"The training's encoder hears a gap between target and source {_estimate(gap)} larger than the judge does: "
        + (
            "part of what it hears is made for it alone."
            if _proves(gap, 0) is True
            else "no sign that conversions are made for it alone."
        )
    )
    over = {name: _estimate(own) for name, own in found["over"].items()}
    lines.append(
        f"In similarity to the target, conversions exceed the mere shift of pitch by {over['pitch_shift']}, random"
        f" weights by {over['random_weights']}."
    )
    similarity = {name: own["similarity_to_target"]["value"] for name, own in systems.items()}
    for name, value in best_of(similarity, "above").items():
        proved = {True: "training pays", False: "training does not pay", None: "neither is shown to be nearer"}
        lines.append(
            f"The method without training that comes nearest to the target, `{name}`, has {number_cell(value)};"
            f" conversions exceed it by {over[name]}: {proved[_proves(found['over'][name], 0)]}."
        )
    return lines


def _proves(estimate: dict, border: float) -> bool | None:
    """Return True where an interval lies above a value, False where below, None where it does not exclude it."""
    low, high = estimate["ci_low"], estimate["ci_high"]
    if low is None or low <= border <= high:
        return None
    return bool(low > border)


def _estimate(own: dict) -> str:
    low, high = number_cell(own["ci_low"]), number_cell(own["ci_high"])
    return f"{number_cell(own['value'])} [{low}, {high}]"


def _systems(systems: dict) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"system": name} | {label: own[column]["value"] for column, label in _COLUMNS.items()}
            for name, own in systems.items()
        ]
    )


def _reconstruction(methods: dict) -> pd.DataFrame:
    return pd.DataFrame(
        [{"method": name} | {figure: methods[name][figure]["value"] for figure in FIGURES} for name in METHODS]
    )
