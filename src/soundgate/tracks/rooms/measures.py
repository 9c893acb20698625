"""What a run is judged by: hashes, splits, levels, rooms, alignment, voices; and its gates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from soundgate.evaluation.gates import Gate
from soundgate.runtime.config import Section
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.rooms.batches import listed_hashes, own_batches, own_metas
from soundgate.tracks.rooms.segments import hash_or_reason

N_BOOTSTRAP = 2000
# What is measured of triples; a run that adds none to those before it (or whose budget holds none) has them too.
TRIPLE_COLUMNS = ["item", "split", "segment_id", "speaker_id", "valid_samples", "bad_room", "target_room"]


class GateSettings(Section):
    """Thresholds.

    Args:
        snr_error_db: 95th percentile of \\|achieved - requested\\|.
        rt60_error: relative, of the worst room.
        alignment_error: samples, of the worst room.
        sdr_gain_db: what sterilising adds to the distortion ratio against the truth, on the worst voice.
    """

    snr_error_db: float = Field(ge=0)
    rt60_error: float = Field(ge=0)
    alignment_error: float = Field(ge=0)
    sdr_gain_db: float


def read_triples(batches: Path, manifest: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read what is known of this run's triples.

    Returns:
        One row a triple, and one row a degradation of one (name, item, requested_snr_db, achieved_snr_db, ...).
    """
    triples = [triple for meta in own_metas(batches, manifest) for triple in meta["triples"]]
    effects = [{"item": triple["item"]} | effect for triple in triples for effect in triple["effects"]]
    columns = ["item", "name", "requested_snr_db", "achieved_snr_db"]
    table, whole = pd.DataFrame(effects), pd.DataFrame(triples, columns=None if triples else TRIPLE_COLUMNS)
    return whole.drop(columns="effects", errors="ignore"), table.reindex(
        columns=columns + sorted(set(table) - set(columns))
    )


def rejections(batches: Path, manifest: dict) -> dict[str, int]:
    """Count rejected triples of this run by reason."""
    reasons = Counter(item["reason"] for meta in own_metas(batches, manifest) for item in meta["rejected"])
    return dict(sorted(reasons.items()))


def all_rejections(irs: list[dict], voices: pd.DataFrame, triples: dict[str, int]) -> dict[str, int]:
    """Count what was left out at every step, by step and kind of reason (the part before its details).

    Args:
        irs: rejected impulse responses: path and reason.
        voices: the report of `rooms-sterilise`.
        triples: from `rejections`.
    """
    dropped = voices.loc[voices["outcome"] != "kept", "reason"]
    counts = Counter(f"room: {_kind(entry['reason'])}" for entry in irs)
    counts.update(f"voice: {_kind(reason)}" for reason in dropped)
    counts.update({f"triple: {reason}": count for reason, count in triples.items()})
    return dict(sorted(counts.items()))


def _kind(reason: str) -> str:
    return str(reason).split(":")[0].split(" of ")[0]


def measure_run(
    batches: Path, manifest: dict, triples: pd.DataFrame, effects: pd.DataFrame,
    rooms: pd.DataFrame, voices: pd.DataFrame, seed: int,
) -> dict:  # fmt: skip
    """Measure a run.

    Args:
        batches: its folder of batches.
        manifest: of the run.
        triples, effects: from `read_triples`.
        rooms: from `rendered_rooms`.
        voices: the report of `rooms-sterilise`, one row a file.
        seed: of the bootstrap.

    Returns:
        Nested numbers; every estimate with its 95 % interval and n, every check with its control beside it. The
        worst room and the worst voice are of this run, not estimates of others.
    """
    own = own_batches(manifest)
    return {
        "counts": {
            "n_triples": len(triples), "n_batches": len(own), "n_rejected": int(sum(e["n_rejected"] for e in own)),
            "n_speakers": int(triples["speaker_id"].nunique()), "n_rooms": int(rooms["room_id"].nunique()),
            "size_bytes": manifest["size_bytes"], "complete": int(manifest["status"] == "complete"),
        },
        "hashes": _hashes(batches, own),
        "splits": _shared(triples),
        "snr": _snr(effects, seed),
        "rooms": _rooms(rooms, seed),
        "sterilise": _voices(voices, seed),
    }  # fmt: skip


def _hashes(folder: Path, entries: list[dict]) -> dict:
    """Hold every file against the hash listed; the control holds each batch against the next one's."""
    listed = listed_hashes(entries)
    found = {name: hash_or_reason(folder / name) for name in listed}
    wrong = [name for name in listed if found[name] != listed[name]]
    batches = [entry["file"] for entry in entries]
    neighbours = zip(batches, batches[1:] + batches[:1], strict=True)
    return {
        "n_files": len(listed), "n_mismatched": len(wrong), "mismatched": wrong,
        "control_mismatched": sum(found[one] != listed[other] for one, other in neighbours) if batches[1:] else None,
    }  # fmt: skip


def _shared(triples: pd.DataFrame) -> dict:
    """Count speakers and rooms that stand in two splits; the control deals the splits out anew over triples."""

    def shared(splits: np.ndarray) -> tuple[int, int]:
        speakers, rooms = {}, {}
        for split in np.unique(splits):
            rows = triples[splits == split]
            speakers[split] = set(rows["speaker_id"])
            rooms[split] = set(rows["bad_room"]) | set(rows["target_room"])
        pairs = list(combinations(speakers, 2))
        return (len(set().union(*(speakers[a] & speakers[b] for a, b in pairs))),
                len(set().union(*(rooms[a] & rooms[b] for a, b in pairs))))  # fmt: skip

    splits = triples["split"].to_numpy()
    speakers, rooms = shared(splits)
    by_triple = shared(splits[keyed_generator(0, "rooms-manifest", "control").permutation(len(splits))])
    sizes = triples["split"].value_counts()
    return {
        "n_shared_speakers": speakers, "n_shared_rooms": rooms,
        "control_shared_speakers": by_triple[0], "control_shared_rooms": by_triple[1],
        "n_triples": {name: int(sizes[name]) for name in sorted(sizes.index)},
    }  # fmt: skip


def _snr(effects: pd.DataFrame, seed: int) -> dict:
    """Hold achieved against requested levels; the control pairs each request with another triple's result."""
    noise = effects[effects["name"] == "noise"].dropna(subset=["achieved_snr_db"])
    requested, achieved = (noise[f"{kind}_snr_db"].to_numpy(float) for kind in ("requested", "achieved"))
    mismatched = np.abs(np.roll(achieved, 1) - requested)
    return {
        "error_db": _estimate(np.abs(achieved - requested), _percentile_95, seed, "snr"),
        "control_error_db": _percentile_95(mismatched) if len(mismatched) else None,
    }  # fmt: skip


def _rooms(rooms: pd.DataFrame, seed: int) -> dict:
    """Hold rendered rooms against the catalogue; controls: another room's T60, and no alignment."""
    catalogue, rendered = rooms["rt60_s"].to_numpy(float), rooms["rendered_rt60_s"].to_numpy(float)
    known = rooms.dropna(subset=["rt60_true_s"])
    true_error = np.abs(known["rt60_s"].to_numpy(float) / known["rt60_true_s"].to_numpy(float) - 1)
    return {
        "rt60_error": float(rooms["rt60_error"].max()),
        "control_rt60_error": float(np.median(np.abs(np.roll(rendered, 1) / catalogue - 1))),
        "rt60_error_to_truth": _estimate(true_error, np.median, seed, "truth"),
        "c50_error_db": float(rooms["c50_error_db"].max()),
        "alignment_error": int(rooms["alignment_error"].max()), "n_irs": len(rooms),
        "control_alignment_error": int(rooms["removed_delay_samples"].max()),
    }  # fmt: skip


def _voices(voices: pd.DataFrame, seed: int) -> dict:
    """Hold sterilised voices against their truth; controls: what went in, and plain noise reduction."""
    known = voices.dropna(subset=["sdr_before_db", "sdr_after_db"])
    before, after = (known[f"sdr_{when}_db"].to_numpy(float) for when in ("before", "after"))
    gain = after - before
    control = (known["control_sdr_db"] - known["sdr_before_db"]).dropna().to_numpy(float)
    return {
        "sdr_gain_db": float(gain.min()) if len(gain) else None, "n_known": len(gain),
        "control_sdr_gain_db": float(control.min()) if len(control) else None, "n_control": len(control),
        "sdr_gain_median_db": _estimate(gain, np.median, seed, "sdr"),
        "share_not_lower": float(np.mean(gain >= 0)) if len(gain) else None,
        "control_sdr_before_db": float(np.median(before)) if len(before) else None,
        "n_files": len(voices), "n_kept": int((voices["outcome"] == "kept").sum()),
        "n_denoised": int(voices["denoised"].fillna(False).astype(bool).sum()),
    }  # fmt: skip


def run_gates(settings: GateSettings, measured: dict) -> list[Gate]:
    """Return the gates that can be judged: the voices' needs a truth, which only generated voices have."""
    result = [
        Gate("hashes", "hashes.n_mismatched", "below", 0),
        Gate("shared_speakers", "splits.n_shared_speakers", "below", 0),
        Gate("shared_rooms", "splits.n_shared_rooms", "below", 0),
        Gate("snr_error_db", "snr.error_db.value", "below", settings.snr_error_db, "snr.error_db.ci", "snr.error_db.n"),
        Gate("rt60_error", "rooms.rt60_error", "below", settings.rt60_error, n="rooms.n_irs"),
        Gate("alignment_error", "rooms.alignment_error", "below", settings.alignment_error, n="rooms.n_irs"),
    ]  # fmt: skip
    if measured["sterilise"]["n_known"]:
        result.append(
            Gate("sdr_gain_db", "sterilise.sdr_gain_db", "above", settings.sdr_gain_db, n="sterilise.n_known")
        )
    return result


def _percentile_95(values: np.ndarray) -> float:
    return float(np.percentile(values, 95))


def _estimate(values: np.ndarray, statistic: Callable[[np.ndarray], float], seed: int, item: str) -> dict:
    """Return a statistic over independent units with its percentile-bootstrap 95 % interval."""
    values = values[~np.isnan(values)]
    if not len(values):
        return {"value": None, "ci": [None, None], "n": 0}
    generator = keyed_generator(seed, "rooms-manifest", item)
    drawn = (values[generator.integers(len(values), size=len(values))] for _ in range(N_BOOTSTRAP))
    low, high = np.percentile([statistic(row) for row in drawn], [2.5, 97.5])
    return {"value": _finite(statistic(values)), "ci": [_finite(low), _finite(high)], "n": len(values)}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
