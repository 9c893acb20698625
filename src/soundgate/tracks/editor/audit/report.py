"""The audit for people: verdicts first, then what they rest on, then what may be concluded."""

from __future__ import annotations

import pandas as pd

from soundgate.evaluation.tables import gate_rows, gates_overview, markdown_table, rounded
from soundgate.tracks.editor.audit.reconstruction import KINDS, MEASURES
from soundgate.tracks.editor.audit.run import Audit
from soundgate.tracks.editor.policy.reward import RewardParts

_METHODS = [
    "`gain`: 0 is KEEP for all, 1 the true labels. `reward` is without the label bonus. `collapse`: labels reduced to",
    "CUT and KEEP with the same fade at every beginning; `constant_ratio`: always the same share of the recording, its",
    "beginning; `expected_length`: loops added until the length that the policy expects is met.",
]


def report_markdown(audit: Audit, gates: dict[str, dict]) -> str:
    """Return the report.

    Args:
        audit: what was found.
        gates: verdicts by name, of the whole track.
    """
    parts = ["# Editing raw audio: exit audit", "", *gates_overview(gates)]
    parts += ["", "## Gates", "", "A gate is decided where its whole interval is on one side of the threshold.", ""]
    parts += [markdown_table(gate_rows(gates)), "", "## Reconstruction", ""]
    parts += ["With the true labels; by the labels' definitions alone, without a model (`rule`); with other labels at"]
    parts += ["every beat; and the raw recording. Distances by label in dB.", ""]
    parts += [markdown_table(rounded(_reconstruction(audit))), "", "## Labels and rewards", ""]
    parts += [*_METHODS, ""]
    parts += [markdown_table(rounded(_methods(audit))), "", "## F1 by label", "", markdown_table(rounded(_f1(audit)))]
    parts += ["", "## Distance to the true edit, by share of exchanged labels", ""]
    by_share = audit.versions.groupby(["kind", "exchanged"])[["model", "renderer"]].mean().reset_index()
    parts += ["`model` is what the reward sees, `renderer` what is heard.", "", markdown_table(rounded(by_share)), ""]
    parts += [
        "Rank correlation of both. `control` counts wrong labels, which are as many in every `equal` version.",
        "",
    ]
    parts += [markdown_table(rounded(_agreement(audit))), ""]
    parts += ["## What this allows to conclude", "", *(f"- {line}" for line in conclusions(audit)), ""]
    return "\n".join(parts)


def conclusions(audit: Audit) -> list[str]:
    """Return in words what the figures do and do not show."""
    pairs = audit.pairs.drop_duplicates("pair_id")
    lines = [f"{len(pairs)} test pairs of {pairs['group'].nunique()} groups, which no training saw."]
    if pairs["group"].nunique() < 10:
        lines.append("Fewer than ten groups: intervals are wide, and a passed gate is weak evidence.")
    over = audit.rewards["policy"]["over"]["imitation"]
    if over["ci_low"] is None or over["ci_low"] <= 0 <= over["ci_high"]:
        lines.append("Nothing shows that PPO is better than imitation.")
    elif over["ci_high"] < 0:
        lines.append("PPO is worse than imitation.")
    else:
        lines.append("PPO earns more than imitation.")
    if not _over_nothing(audit.rewards["policy"]["over"]["collapse"]):
        lines.append("Nothing shows that the policy knows more than which beats to cut, and that an edit fades in.")
    if not _over_nothing(audit.labels["policy"]["duration_over"]["constant_ratio"]):
        lines.append("Nothing shows that it knows more about an edit's length than a constant share.")
    unheard = [name for name, f1 in audit.labels["policy"]["f1"].items() if f1 == 0]
    if unheard:
        lines.append(f"The policy never finds {', '.join(unheard)}.")
    return lines


def _over_nothing(estimate: dict) -> bool:
    """Return whether a whole interval lies above 0."""
    return estimate["ci_low"] is not None and estimate["ci_low"] > 0


def _reconstruction(audit: Audit) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"labels": kind}
            | {name: audit.reconstruction[kind][name]["value"] for name in MEASURES}
            | {name: own["value"] for name, own in audit.reconstruction[kind]["by_label"].items()}
            for kind in KINDS
        ]
    )  # fmt: skip


def _methods(audit: Audit) -> pd.DataFrame:
    rows = []
    for method, rewards in audit.rewards.items():
        scores = {name: audit.labels[method][name]["value"] for name in ("accuracy", "balanced_accuracy", "macro_f1")}
        earned = {name: rewards[name]["value"] for name in ("reward", "with_labels", "gain")}
        duration = {"duration_error": audit.labels[method]["duration_error"]["value"]}
        parts = {f"part: {name}": rewards["parts"][name] for name in RewardParts._fields}
        rows.append({"method": method} | scores | duration | earned | parts)
    return pd.DataFrame(rows)


def _agreement(audit: Audit) -> pd.DataFrame:
    kinds = {"growing": "growing", "equal": "equally_wrong"}
    return pd.DataFrame([
        {"kind": kind} | {key: audit.truth[name][key] for key in ("value", "ci_low", "ci_high", "control")}
        for kind, name in kinds.items()
    ])  # fmt: skip


def _f1(audit: Audit) -> pd.DataFrame:
    return pd.DataFrame([{"method": method} | own["f1"] for method, own in audit.labels.items()])
