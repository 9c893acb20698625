"""The audit for people: verdicts first, then what bounds them, then what may be concluded."""

from __future__ import annotations

import pandas as pd

from soundgate.evaluation.second_opinion import interval_cell
from soundgate.evaluation.tables import gate_rows, gates_overview, markdown_table, number_cell, rounded
from soundgate.tracks.transfer.audit.baselines import BASELINES, KIND
from soundgate.tracks.transfer.audit.competing import CRITERIA, worst_pairs
from soundgate.tracks.transfer.audit.run import Audit

SHOWN = [
    "mps_held_out", "mps_lab", "mps_mismatched_held_out", "retrieved_held_out", "sf_held_out", "sf_lab",
    "to_truth_db", "closer_db", "chroma", "onset_f1", "continuity",
]  # fmt: skip
KINDS = {
    "transfer": "transferred",
    "identity": "own style through the model (copy-synthesis)",
    "shuffled": "transferred with the condition of another genre",
    "no_transfer": "the source itself",
    "true_target": "the true rendering in the target genre",
    "real_target": "a real chunk of the target genre, other music",
}


def report_markdown(audit: Audit, gates: dict[str, dict], labels: dict, index: pd.DataFrame) -> str:
    """Return the report.

    Args:
        audit: what was found.
        gates: verdicts by name.
        labels: the labels' metrics.
        index: of the chunk cache.
    """
    parts = ["# Style transfer: exit audit", "", *gates_overview(gates)]
    parts += ["", "## Gates", "", markdown_table(gate_rows(gates)), "", "## Transfers and what bounds them", ""]
    parts += ["Held-out judges gave no losses and heard other tracks; `lab` is Lab 1, which did.", ""]
    parts += [
        markdown_table(_kind_rows(audit.kinds)),
        "",
        *_contest(audit),
        *_own_style(audit),
        "## By pair of genres",
        "",
        markdown_table(rounded(audit.pairs)),
        "",
    ]
    parts += ["`closer_db`: how much nearer to the true rendering than the source is, with its interval.", ""]
    parts += ["## Leakage", "", *_leakage(audit.leakage), "", "## What this allows to conclude", ""]
    parts += [*(f"- {line}" for line in conclusions(audit, labels, index)), ""]
    return "\n".join(parts)


def conclusions(audit: Audit, labels: dict, index: pd.DataFrame) -> list[str]:
    """Return in words what the corpus can and cannot show."""
    music = index[index["is_music"]]
    test = music[music["split"] == "test"]
    n_sources = music.groupby("genre")["source"].nunique()
    lines = [
        f"{music['track_id'].nunique()} tracks of {len(n_sources)} genres and {music['source'].nunique()} sources; "
        f"{test['group'].nunique()} groups were held out for testing, {test['track_id'].nunique()} tracks."
    ]
    few = sorted(n_sources.index[n_sources < 2])
    if few:
        lines.append(
            f"Genres of one source ({', '.join(few)}): what is called their style may be that source's recording "
            "chain. Nothing here tells the two apart; more sources would."
        )
    if set(music["genre"]) - set(test["genre"]):
        lines.append(f"No test track of {', '.join(sorted(set(music['genre']) - set(test['genre'])))}: not measured.")
    if test["group"].nunique() < 10:
        lines.append("Fewer than ten held-out groups: intervals are wide, and a passed gate is weak evidence.")
    if audit.pairs["closer_db"].isna().all():
        lines.append("No true target is known, so nothing shows that transfers sound as the target would.")
    if labels.get("dropped"):
        lines.append(f"Tracks left out: {labels['dropped']}.")
    return lines


def _kind_rows(kinds: dict) -> pd.DataFrame:
    rows = []
    for path, own in kinds.items():
        for kind, scores in own.items():
            known = {"path": path, "what": BASELINES[path] if kind == KIND else KINDS[kind]}
            rows.append(known | {name: number_cell(scores[name]["value"]) for name in SHOWN})
    return pd.DataFrame(rows)


def _contest(audit: Audit) -> list[str]:
    """Say which baseline wins, which paths beat it, and where each is furthest behind."""
    names = {"sf": "style", "nearer_db": "closeness to the true rendering"}
    lines = ["## Against what needs no trained decoder", ""]
    for criterion, name in audit.contest.best.items():
        column, _ = CRITERIA[criterion]
        own = audit.kinds[name][KIND][column]["value"]
        paths = [f"{path} {audit.kinds[path]['transfer'][column]['value']:.3f}" for path in audit.copied]
        best = f"- Best baseline by {names[criterion]}: **{name}**, `{column}` {own:.3f}"
        lines.append(f"{best}; trained paths: {', '.join(paths)}.")
    for path in audit.copied:
        own = audit.contest.pairs[audit.contest.pairs["path"] == path]
        shown = (own["over_low"].astype(float) > 0).groupby([own["source_genre"], own["target_genre"]]).all()
        lines.append(f"- Path {path} is shown to be better by all of these on {shown.sum()} of {len(shown)} pairs.")
    lines += ["", "`over`: how much better the path is, with its interval over groups. The worst pair of each:", ""]
    return [*lines, markdown_table(rounded(worst_pairs(audit.contest))), ""]


def _own_style(audit: Audit) -> list[str]:
    lines = ["## Asked for the style that the source has already", ""]
    for path, own in audit.own_style.items():
        change, bound = (interval_cell(own[name].as_dict()) for name in ("change_db", "equaliser_db"))
        lines.append(f"- Path {path} changes the source by {change} dB, the equaliser by {bound} dB.")
    return [*lines, ""]


def _leakage(leakage: dict) -> list[str]:
    lines = [f"Verdict: **{leakage['verdict']}**.", *(f"- {reason}" for reason in leakage["reasons"]), ""]
    rows = []
    for name, audit in leakage["features"].items():
        row = {"features": name}
        for what in ("genre", "source"):
            probe = audit[what]
            row[what] = (
                f"{number_cell(probe['accuracy']['value'])} (majority {number_cell(probe['majority'])})"
                if probe["answerable"]
                else probe["reason"]
            )
        gap = audit["gap"]
        row["gap"] = number_cell(gap["value"]) if gap["answerable"] else gap["reason"]
        rows.append(row)
    return [*lines, markdown_table(pd.DataFrame(rows))]
