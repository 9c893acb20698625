"""What a run is judged by: hashes, splits, levels, rooms, alignment, voices; and its gates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from soundgate.evaluation.gates import Gate
from soundgate.evaluation.statistics import ratio_estimate
from soundgate.runtime.config import Section
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.rooms.batches import listed_hashes, own_batches, own_metas
from soundgate.tracks.rooms.segments import hash_or_reason

N_BOOTSTRAP = 2000
# What is measured of triples; a run that adds none to those before it (or whose budget holds none) has them too.
TRIPLE_COLUMNS = ["item", "split", "segment_id", "speaker_id", "valid_samples", "bad_room", "target_room"]


class GateSettings(Section):
    """Section ``rooms.manifest``: how much is measured, and the gates' thresholds."""

    n_stored: int = Field(ge=1, description="triples, and target rooms, whose stored audio is measured")
    stored_snr_error_db: float = Field(ge=0, description="95th percentile of |stored - requested|")
    stored_t60_error: float = Field(ge=0, description="relative, mean over target rooms, against the catalogue")
    stored_t60_true_error: float = Field(ge=0, description="likewise, against what simulated rooms were built with")
    stored_c50_error_db: float = Field(ge=0, description="mean over target rooms, against the catalogue")
    stored_alignment_error: int = Field(ge=0, description="samples, of the worst target room")
    embedding_t60_r2: float = Field(le=1, description="variance of T60 that embeddings explain in unseen rooms")
    embedding_c50_r2: float = Field(le=1, description="likewise of C50")
    embedding_retrieval: float = Field(ge=0, le=1, description="share whose nearest other response is of the same room")
    sterilise_gain_db: float = Field(description="SI-SDR that sterilising adds to noisy voices, mean over speakers")
    sterilise_clean_loss_db: float = Field(ge=0, description="SI-SDR that it takes from clean voices")
    clean_snr_db: float = Field(description="SI-SDR against the truth from which a voice counts as clean")
    padding_share: float = Field(ge=0, le=1, description="of all samples")
    narrow_share: float = Field(ge=0, le=1, description="of finished targets whose bandwidth is below min_bandwidth_hz")
    min_bandwidth_hz: float = Field(gt=0)


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


@dataclass(frozen=True)
class StoredAudio:
    """What was measured of stored audio and embeddings.

    Args:
        levels: from `soundgate.tracks.rooms.stored.stored_levels`.
        rooms: from `soundgate.tracks.rooms.stored.stored_rooms`.
        bandwidths: from `soundgate.tracks.rooms.stored.stored_bandwidths`.
        embeddings: from `soundgate.tracks.rooms.probing.probe_embeddings`.
    """

    levels: pd.DataFrame
    rooms: pd.DataFrame
    bandwidths: pd.DataFrame
    embeddings: dict


def measure_run(
    batches: Path, manifest: dict, triples: pd.DataFrame, stored: StoredAudio, voices: pd.DataFrame,
    samples: int, settings: GateSettings, seed: int,
) -> dict:  # fmt: skip
    """Measure a run.

    Args:
        batches: its folder of batches.
        manifest: of the run.
        triples: from `read_triples`.
        stored: of the run's stored audio.
        voices: the report of `rooms-sterilise`, one row a file.
        samples: of a clip.
        settings: which voices are clean, which targets narrow.
        seed: of the bootstrap.

    Returns:
        Nested numbers; every estimate with its 95 % interval and n, every check with its control beside it.
    """
    own = own_batches(manifest)
    rooms = set(triples["bad_room"]) | set(triples["target_room"])
    return {
        "counts": {
            "n_triples": len(triples), "n_batches": len(own), "n_rejected": int(sum(e["n_rejected"] for e in own)),
            "n_speakers": int(triples["speaker_id"].nunique()), "n_rooms": len(rooms),
            "size_bytes": manifest["size_bytes"], "complete": int(manifest["status"] == "complete"),
        },
        "hashes": _hashes(batches, own),
        "splits": _shared(triples),
        "snr": _snr(stored.levels, seed),
        "rooms": _rooms(stored.rooms, seed),
        "embeddings": stored.embeddings,
        "sterilise": _voices(voices, settings.clean_snr_db, seed),
        "clips": _clips(triples, stored.bandwidths, samples, settings.min_bandwidth_hz, seed),
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


def _snr(levels: pd.DataFrame, seed: int) -> dict:
    """Hold stored against requested levels; the control pairs each request with another triple's result."""
    noise = levels.astype(float)
    requested, stored = noise["requested_snr_db"].to_numpy(), noise["stored_snr_db"].to_numpy()
    known = ~np.isnan(stored)
    mismatched = np.abs(np.roll(stored[known], 1) - requested[known])
    return {
        "stored_error_db": _estimate(np.abs(stored - requested), _percentile_95, seed, "snr"),
        "control_error_db": _percentile_95(mismatched) if len(mismatched) else None, "n_silent": int((~known).sum()),
    }  # fmt: skip


def _rooms(rooms: pd.DataFrame, seed: int) -> dict:
    """Hold the rooms in finished targets against the catalogue and the truth; the control: every other room.

    A target that shows no decay is wrong by all of it. Rooms are the units; their responses count as one.
    """
    room_ids, stored = rooms["room_id"].to_numpy(), rooms["stored_rt60_s"].to_numpy(float)

    def relative(reference: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(reference), np.nan, np.nan_to_num(np.abs(stored / reference - 1), nan=1.0))

    heard, true = rooms["heard_rt60_s"].to_numpy(float), rooms["rt60_true_s"].to_numpy(float)
    c50_error = np.abs(rooms["stored_c50_db"].to_numpy(float) - rooms["heard_c50_db"].to_numpy(float))
    other = [
        abs(one / another - 1) for one, room in zip(stored, room_ids, strict=True)
        for another in heard[room_ids != room] if np.isfinite(one) and np.isfinite(another)
    ]  # fmt: skip
    return {
        "stored_t60_error": _over_units(relative(heard), room_ids, seed),
        "control_t60_error": float(np.mean(other)) if other else None,
        "stored_t60_true_error": _over_units(relative(true), room_ids, seed),
        "stored_c50_error_db": _over_units(c50_error, room_ids, seed),
        "stored_alignment_error": int(rooms["alignment_samples"].abs().max()) if len(rooms) else None,
        "n_irs": len(rooms),
    }


def _voices(voices: pd.DataFrame, clean_snr_db: float, seed: int) -> dict:
    """Hold sterilised voices against their truth: noisy ones against what went in, clean ones against no loss.

    Controls: leaving all as it is gains 0; plain noise reduction, on one noisy voice a shard.
    """
    known = voices.dropna(subset=["sdr_before_db", "sdr_after_db"])
    gain = known["sdr_after_db"] - known["sdr_before_db"]
    noisy = known["sdr_before_db"] < clean_snr_db
    control = (known["control_sdr_db"] - known["sdr_before_db"])[noisy].dropna()
    return {
        "gain_db": _over_units(gain[noisy].to_numpy(float), known["speaker_id"][noisy].to_numpy(), seed),
        "worst_gain_db": float(gain[noisy].min()) if noisy.any() else None,
        "control_gain_db": _over_units(control.to_numpy(float), known["speaker_id"][control.index].to_numpy(), seed),
        "clean_loss_db": _over_units(-gain[~noisy].to_numpy(float), known["speaker_id"][~noisy].to_numpy(), seed),
        "n_files": len(voices), "n_kept": int((voices["outcome"] == "kept").sum()), "n_known": len(known),
        "n_noisy": int(noisy.sum()), "n_denoised": int(voices["denoised"].fillna(False).astype(bool).sum()),
    }  # fmt: skip


def _clips(triples: pd.DataFrame, bandwidths: pd.DataFrame, samples: int, least_hz: float, seed: int) -> dict:
    """Measure how much of the clips is padding, and how many targets are narrower than wished."""
    padded = 1 - triples["valid_samples"].to_numpy(float) / samples
    band = bandwidths["bandwidth_hz"].to_numpy(float)
    return {
        "padding_share": _estimate(padded, np.mean, seed, "padding"),
        "narrow_share": _estimate((band < least_hz).astype(float), np.mean, seed, "bandwidth"),
        "bandwidth_hz": _estimate(band, np.median, seed, "bandwidth"),
    }


def run_gates(settings: GateSettings, measured: dict) -> list[Gate]:
    """Return the gates that can be judged: some need a truth, which only generated rooms and voices have."""

    def estimated(name: str, place: str, side: str) -> Gate:
        return Gate(name, f"{place}.value", side, getattr(settings, name), f"{place}.ci", f"{place}.n")

    result = [
        Gate("hashes", "hashes.n_mismatched", "below", 0),
        Gate("shared_speakers", "splits.n_shared_speakers", "below", 0),
        Gate("shared_rooms", "splits.n_shared_rooms", "below", 0),
        estimated("stored_snr_error_db", "snr.stored_error_db", "below"),
        estimated("stored_t60_error", "rooms.stored_t60_error", "below"),
        estimated("stored_t60_true_error", "rooms.stored_t60_true_error", "below"),
        estimated("stored_c50_error_db", "rooms.stored_c50_error_db", "below"),
        Gate("stored_alignment_error", "rooms.stored_alignment_error", "below", settings.stored_alignment_error,
             n="rooms.n_irs"),
        estimated("embedding_t60_r2", "embeddings.t60_r2", "above"),
        estimated("embedding_c50_r2", "embeddings.c50_r2", "above"),
        estimated("embedding_retrieval", "embeddings.retrieval", "above"),
        estimated("sterilise_gain_db", "sterilise.gain_db", "above"),
        estimated("sterilise_clean_loss_db", "sterilise.clean_loss_db", "below"),
        estimated("padding_share", "clips.padding_share", "below"),
        estimated("narrow_share", "clips.narrow_share", "below"),
    ]  # fmt: skip
    needs_truth = {
        "stored_t60_true_error": measured["rooms"]["stored_t60_true_error"]["n"],
        "embedding_retrieval": measured["embeddings"]["retrieval"]["n"],
        "sterilise_gain_db": measured["sterilise"]["gain_db"]["n"],
        "sterilise_clean_loss_db": measured["sterilise"]["clean_loss_db"]["n"],
    }
    return [gate for gate in result if needs_truth.get(gate.name, 1)]


def _over_units(values: np.ndarray, units: np.ndarray, seed: int) -> dict:
    """Return the mean over values that are known, with its interval over units."""
    table = pd.DataFrame({"value": values, "unit": units}).dropna()
    if table.empty:
        return {"value": None, "ci": [None, None], "n": 0}
    sums = table.groupby("unit")["value"].agg(["sum", "count"])
    estimate = ratio_estimate(
        sums["sum"].to_numpy(), sums["count"].to_numpy(), keyed_generator(seed, "rooms-manifest", "units")
    )
    fields = estimate.as_dict()
    return {"value": fields["value"], "ci": [fields["ci_low"], fields["ci_high"]], "n": estimate.n}


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
