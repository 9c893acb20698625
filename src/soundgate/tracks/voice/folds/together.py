"""All folds together: gates by the outside judges over every speaker, each of whom was unseen once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from soundgate.evaluation.pairs import pair_mean
from soundgate.evaluation.second_opinion import interval_cell
from soundgate.evaluation.tables import gates_overview, markdown_table
from soundgate.runtime.config import parse_section
from soundgate.runtime.files import write_json, write_text
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.audit.controlled import controlled_rows
from soundgate.tracks.voice.folds.records import Together
from soundgate.tracks.voice.outside.found import Found, judge_tables
from soundgate.tracks.voice.outside.report import over_baselines_table, tried_table
from soundgate.tracks.voice.outside.settings import OutsideSettings

STAGE = "voice-folds"


def judge_folds(together: Together, settings: OutsideSettings, seed: int) -> Found:
    """Return the figures and verdicts over the speakers of all folds.

    The outside judges are the same in all folds. Our own judge is another in each, trained on other speakers: figures
    ``own_judge`` are means over what different judges say. Pairs are of two speakers of one fold.

    Args:
        together: see `Together`.
        settings: see `OutsideSettings`.
        seed: of the resampling.
    """
    found = judge_tables(together.tables["outside"], together.tables["trials"], settings, seed)
    speakers = together.tables["outside"].groupby("fold")["source"].unique()
    more = {
        "folds": {str(fold): sorted(own) for fold, own in speakers.items()},
        "own_judge": _own_judge(together.tables["scores"], seed, settings.n_bootstrap),
    }
    return found._replace(figures=more | found.figures)


def write_together(together: Together, params: Mapping, folder: Path) -> Found:
    """Write ``folds.json`` and ``folds.md``.

    Args:
        together: see `Together`.
        params: composed, of the folds.
        folder: ``metrics/<profile>/voice``.
    """
    settings = parse_section("voice.outside", params["voice"]["outside"], OutsideSettings)
    found = judge_folds(together, settings, params["seed"])
    write_json(folder / "folds.json", jsonable({"gates": found.gates} | found.figures))
    write_text(folder / "folds.md", report_markdown(found))
    return found


def report_markdown(found: Found) -> str:
    """Return the report."""
    figures = found.figures
    speakers = [name for own in figures["folds"].values() for name in own]
    parts = ["# Voice conversion: every speaker unseen once", "", *gates_overview(found.gates), ""]
    parts += [
        f"{len(speakers)} speakers in {len(figures['folds'])} folds. In each fold encoder, converter and our own judge",
        "are trained anew, without the speakers of its test, between whom alone it converts. The outside judges are",
        "the same in all folds. Intervals are over the speakers of all folds, and know nothing of other seeds.",
    ]
    folds = [{"fold": fold, "unseen speakers": ", ".join(own)} for fold, own in figures["folds"].items()]
    parts += ["", markdown_table(pd.DataFrame(folds)), "", "## Gates", "", markdown_table(controlled_rows(found.gates))]
    parts += ["", "## The converters against methods without training", ""]
    parts += [markdown_table(over_baselines_table(figures["over_baselines"])), ""]
    parts += [f"Taken over all folds: `{figures['best_method']['method']}`: {figures['best_method']['why']}", ""]
    parts += ["## What each judge hears on these speakers", "", markdown_table(tried_table(figures["judges"])), ""]
    parts += [
        "## By our own judges",
        "",
        "Another judge in each fold, so these figures are means over several judges.",
        "",
    ]
    own = [{"measure": name, "converter": interval_cell(one)} for name, one in figures["own_judge"].items()]
    return "\n".join([*parts, markdown_table(pd.DataFrame(own)), ""])


def _own_judge(scores: pd.DataFrame, seed: int, n_bootstrap: int) -> dict[str, dict]:
    return {
        str(measure): pair_mean(
            own["value"].to_numpy(), own["source"].to_numpy(), own["target"].to_numpy(),
            keyed_generator(seed, STAGE, f"bootstrap {measure}"), n_bootstrap,
        ).as_dict()
        for measure, own in scores.groupby("measure", sort=False)
    }  # fmt: skip
