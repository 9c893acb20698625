"""The outside judges for people: verdicts, whether each judge hears anything, and where they and our own disagree."""

from __future__ import annotations

import pandas as pd

from soundgate.evaluation.second_opinion import above, agreement, interval_cell
from soundgate.evaluation.tables import gates_overview, markdown_table, number_cell, rounded
from soundgate.tracks.voice.audit.controlled import controlled_rows
from soundgate.tracks.voice.audit.pairs import UNSEEN
from soundgate.tracks.voice.audit.systems import CONVERTED
from soundgate.tracks.voice.baselines.methods import BASELINES

# The same question by a judge trained here, its threshold, and the outside one.
_SAME = {
    "closer to the target than to the source": ("closer", "resemblyzer_closer", 0.5),
    "more like the target than like others": ("follows", "resemblyzer_follows", 0.0),
    "melody as the source's": ("f0_correlation", "crepe_f0_correlation", 0.7),
    "words as the source's": ("content_margin", "words_margin", 0.0),
}

_INTRODUCTION = "By how much conversions exceed those of each baseline on the same pairs; intervals are over speakers."


def report_markdown(found: dict, gates: dict[str, dict], audit: dict) -> str:
    """Return the report.

    Args:
        found: ``judges``, ``systems``, ``over``, ``over_baselines`` and ``best_method``.
        gates: verdicts by name.
        audit: what the judges trained here find, from stage voice-audit.
    """
    parts = ["# Voice conversion: outside judges", "", *gates_overview(gates), "", "## Gates", ""]
    baselines = ", ".join(f"`{name}`" for name in BASELINES)
    parts += [
        f"`best baseline`: of the methods without training ({baselines}) the one with the best value of",
        "that measure. It is chosen on the same pairs, which favours it. A gate that a control",
    ]
    parts += ["passes too says nothing of what was learnt.", "", markdown_table(controlled_rows(gates)), ""]
    parts += ["## The converter against methods without training", "", _INTRODUCTION, ""]
    parts += [markdown_table(over_baselines_table(found["over_baselines"])), ""]
    parts += [
        f"`soundgate convert --method auto` takes `{found['best_method']['method']}`: {found['best_method']['why']}"
    ]
    parts += ["", "## What each judge hears on this corpus", ""]
    parts += ["The twin is a judge of the same shape whose weights know nothing.", ""]
    parts += [markdown_table(tried_table(found["judges"])), "", "## Systems, speakers nobody trained on", ""]
    parts += [markdown_table(rounded(_systems(found["systems"]))), "", "## Beside the judges trained here", ""]
    parts += [markdown_table(_beside(found, audit)), ""]
    return "\n".join(parts)


def tried_table(tried: dict) -> pd.DataFrame:
    """Return a row a judge: what it was asked, its answer, chance, its twin's, and whether it hears."""
    table = pd.DataFrame(
        [
            {
                "judge": name, "asked": own["asked"], "answer": interval_cell(own), "chance": own["chance"],
                "twin": number_cell(own["twin"]), "": "deaf" if own["deaf"] else "hears",
            }
            for name, own in tried.items()
        ]
    )  # fmt: skip
    return rounded(table)


def _systems(systems: dict) -> pd.DataFrame:
    rows = [
        {"system": name} | {measure: own["value"] for measure, own in figures.items()}
        for name, figures in systems.items()
    ]
    return pd.DataFrame(rows).astype(object)


def over_baselines_table(over: dict) -> pd.DataFrame:
    """Return a row a method without training: by how much conversions exceed it, by measure, with intervals."""
    return pd.DataFrame(
        [
            {"baseline": name} | {measure: interval_cell(own) for measure, own in figures.items()}
            for name, figures in over.items()
        ]
    )


def _beside(found: dict, audit: dict) -> pd.DataFrame:
    """Return the question, both answers, and whether one proves what the other denies."""
    rows = []
    for question, (inside, outside, threshold) in _SAME.items():
        answers = [audit["systems"][UNSEEN][CONVERTED][inside], found["systems"][CONVERTED][outside]]
        first, second = map(interval_cell, answers)
        said = agreement(*(above(own, threshold) for own in answers))
        rows.append({"question": question, "trained here": first, "outside": second, "": said})
    return pd.DataFrame(rows)
