"""The report of Phase 0, for people: decision first, then why, then everything measured."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from soundgate.evaluation.tables import verdict_cell
from soundgate.evaluation.verdicts import FAIL, PASS
from soundgate.tracks.structure.decision import leading_condition
from soundgate.tracks.structure.tables import metrics_table

MEANING = {
    "variance_ratio": "SSE within clusters / SSE total of the differences, in-sample",
    "excluded_mass": "share of train frames in clusters too small to count",
    "cross_speaker_degradation": "loss from speakers fitted on to new ones",
    "loss_on_new_speakers": "the same share of the gain, held out, by its interval",
    "slice_high_energy": "the ratio on frames above the median energy",
    "slice_medial": "the ratio away from the utterance's ends",
    "random_baseline": "distance from 1 of the ratio of a random assignment",
    "gain": "share of the innovation's variance explained, new speakers",
    "p_swap": "corrected p against contexts of other utterances",
    "p_surrogate": "corrected p against linear-Gaussian surrogates",
    "p_iaaft": "corrected p against linear surrogates seen through static functions",
    "gain_without_confounds": "the gain once energy and position are taken out",
}


@dataclass(frozen=True)
class Provenance:
    """What the analysis stood on: codec name, corpus index, rejected files, utterances encoded."""

    codec: str
    index: pd.DataFrame
    rejected: pd.DataFrame
    encoded: pd.DataFrame


def report_markdown(metrics: dict, decision: dict, provenance: Provenance) -> str:
    """Return the report in Markdown."""
    parts = [
        f"# Phase 0: does `{provenance.codec}` hold reusable local structure?",
        "",
        *_verdicts(decision),
        "",
    ]
    for name, title in (("sound", "The sound decision"), ("seed", "The seed's decision")):
        parts += [f"## {title}", "", *_criteria(decision[name]), ""]
    parts += ["## Measured, by condition and lag", "", _markdown_table(_short_table(metrics)), ""]
    parts += ["## What the numbers stand on", "", *(f"- {line}" for line in _facts(metrics, provenance)), ""]
    parts += ["## Files left out", "", *_left_out(provenance), ""]
    return "\n".join(parts)


def report_text(metrics: dict, decision: dict, provenance: Provenance) -> str:
    """Return the report as plain text: the Markdown's content, its tables aligned."""
    lines = [f"PHASE 0 REPORT: {provenance.codec}", "=" * 78, ""]
    lines += [line.replace("**", "").replace("`", "") for line in _verdicts(decision)]
    for name in ("sound", "seed"):
        leader = leading_condition(decision[name])
        lines += ["", f"{name.upper()} CRITERIA, condition {leader}", "-" * 78]
        for criterion, v in decision[name]["criteria"][leader].items():
            state = "FAIL" if v["verdict"] == FAIL else v["verdict"]
            lines.append(f"  {state:9}  {criterion:28} {_measured(v):>26}  {_bound(v):>10}")
    lines += ["", "MEASURED", "-" * 78, _short_table(metrics).to_string(index=False)]
    lines += ["", "STANDS ON", "-" * 78, *(f"  {line}" for line in _facts(metrics, provenance))]
    lines += ["", "FILES LEFT OUT", "-" * 78, *(line.replace("`", "") for line in _left_out(provenance))]
    return "\n".join(lines) + "\n"


def _verdicts(decision: dict) -> list[str]:
    lines = []
    for name, who in (("sound", "Sound decision"), ("seed", "Seed's decision")):
        d = decision[name]
        why = (
            f"by {', '.join(d['passing_conditions'])}"
            if d["verdict"] == PASS
            else "; ".join(
                f"`{condition}` first misses `{criterion}`" for condition, criterion in d["first_failed"].items()
            )
        )
        lines.append(f"- **{who}: {d['verdict'].upper()}** ({why})")
        lines += [f"- Why that is no FAIL: {reason}." for reason in d.get("reasons", [])]
    if decision["seed"]["verdict"] != decision["sound"]["verdict"]:
        lines.append("- The two decisions differ: the sound one is the one to act on (docs/structure.md says why).")
    return lines


def _criteria(decision: dict) -> list[str]:
    leader = leading_condition(decision)
    rows = pd.DataFrame(
        [
            {
                "criterion": criterion,
                "value": _measured(v),
                "needs": _bound(v),
                "": verdict_cell(v),
                "meaning": MEANING.get(criterion, f"the ratio at lag {criterion.rsplit('_', 1)[-1]}"),
            }
            for criterion, v in decision["criteria"][leader].items()
        ]
    )
    return [f"Leading condition: `{leader}`.", "", _markdown_table(rows)]


def _short_table(metrics: dict) -> pd.DataFrame:
    table = metrics_table(metrics)
    names = {
        "condition": "condition",
        "lag": "lag",
        "seed_variance_ratio_train": "VR train",
        "seed_variance_ratio_eval": "VR eval",
        "gain": "gain",
        "gain_ci_low": "low",
        "gain_ci_high": "high",
        "gain_seen": "gain seen",
        "gain_without_confounds": "no confounds",
        "nats_per_frame": "nats/frame",
        "p_swap": "p swap",
        "p_surrogate": "p surrogate",
        "p_iaaft": "p IAAFT",
    }
    table = table[list(names)].rename(columns=names)
    return table.apply(lambda column: column.map(lambda v: v if isinstance(v, (str, int)) else _number(v)))


def _facts(metrics: dict, provenance: Provenance) -> list[str]:
    frames, floor = metrics["frames"], metrics["linear_floor_r2"]
    speaker = metrics["speaker_condition_gain"]
    return [
        f"{len(provenance.index)} utterances of {provenance.index['speaker_id'].nunique()} speakers, "
        f"{provenance.index['duration_s'].sum() / 3600:.2f} h; {len(provenance.rejected)} files rejected, "
        f"{len(_skipped(provenance))} utterances skipped as too short.",
        f"{metrics['dim']} dimensions; frames with full context: {frames['train_frames']} train, "
        f"{frames['holdout_frames']} hold-out, {frames['eval_frames']} eval; "
        f"speakers: {frames['train_speakers']} train, {frames['eval_speakers']} eval.",
        f"Floor: a linear model of {metrics['linear_order']} past frames explains "
        f"{_interval(floor)} of a new speaker's frames; gains are shares of what it leaves. "
        f"Each dimension has its own penalty: {metrics['linear_ridge']['not_predicted']:.0%} of them are best not "
        f"predicted at all, {metrics['linear_ridge']['at_edge']:.0%} are at an end of what was tried.",
        _ceiling(metrics["ceiling"]),
        _detectable(metrics),
        f"Knowing only who speaks explains {_interval(speaker)} of the innovation (hold-out utterances).",
        "Intervals are 95 %, over speakers, models frozen"
        + (
            f"; with {frames['eval_speakers']} eval speakers, jackknife with Student's t."
            if frames["eval_speakers"] < 20
            else "."
        ),
    ]


def _ceiling(ceiling: dict | None) -> str:
    if ceiling is None:
        return "Ceiling: not measured."
    return f"Ceiling: a small network finds {_interval(ceiling)} of the innovation in the same context."


def _detectable(metrics: dict) -> str:
    found = metrics["detectable_gain"]
    shares = ", ".join(f"{gain}: {share['value']:.0%}" for gain, share in metrics["power"].items())
    draws = next(iter(metrics["power"].values()))["n"]
    size = "none of the gains planted" if found is None else f"{found:g}"
    return (
        f"Detectable gain (found in at least {metrics['probability']:.0%} of {draws} data sets with a planted regime): "
        f"{size}; share found by gain: {shares}."
    )


def _left_out(provenance: Provenance) -> list[str]:
    """Name every file that no latents are of, with the reason."""
    skipped = _skipped(provenance)
    if not len(provenance.rejected) and not len(skipped):
        return ["None."]
    return [
        f"{len(provenance.rejected)} rejected as audio, {len(skipped)} skipped as shorter than "
        "`structure.latents.min_duration_s`.",
        "",
        *(f"- `{row.path}`: {row.reason}" for row in provenance.rejected.itertuples()),
        *(f"- `{row.path}`: too short, {row.duration_s:.2f} s" for row in skipped.itertuples()),
    ]


def _skipped(provenance: Provenance) -> pd.DataFrame:
    return provenance.index[~provenance.index["utt_id"].isin(provenance.encoded["utt_id"])]


def _interval(estimate: dict) -> str:
    return f"{_number(estimate['value'])} [{_number(estimate['ci_low'])}, {_number(estimate['ci_high'])}]"


def _measured(v: dict) -> str:
    return _interval(v) if v.get("ci_low") is not None else _number(v["value"])


def _bound(v: dict) -> str:
    return f"{'<=' if v['side'] == 'below' else '>='} {v['threshold']:g}"


def _number(value: float | None) -> str:
    return "none" if value is None or pd.isna(value) else f"{value:.4f}"


def _markdown_table(table: pd.DataFrame) -> str:
    rows = [list(table.columns), ["---"] * len(table.columns), *table.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
