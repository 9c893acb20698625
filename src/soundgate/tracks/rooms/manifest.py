"""The manifest of a run: what it holds, hashed; and what to do next."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import read_json
from soundgate.tracks.rooms.batches import (
    EMBEDDING,
    SOURCE,
    TARGET,
    listed_hashes,
    meta_name,
    open_batch,
    own_batches,
    own_metas,
)
from soundgate.tracks.rooms.chain import file_hashes
from soundgate.tracks.rooms.rendering import CHECKPOINT, RunFolder, folder_bytes
from soundgate.tracks.rooms.segments import hash_or_reason


def build_manifest(run: RunFolder, batches: Path, sample_rate: int) -> dict:
    """Describe a run; every file of its parts is hashed.

    Batches are listed with the hashes they were written with: `measures.measure_run` says which have others now.

    Args:
        run: its parts.
        batches: the folder of batches with their checkpoint.
        sample_rate: Hz, of the triples.

    Returns:
        run_number, status, plan_sha256, n_batches, triples_completed, n_rejected (of this run and those it
        continues), splits (triples of each, this run's), sample_rate, shapes of a batch's arrays (of the first
        sound batch; none without one), size_bytes, batches (as in the checkpoint), parts (SHA-256 of every file of
        irs, embeddings, vocals and plan).

    Raises:
        FormatError: the metadata of a batch of this run is not what its checkpoint lists.
    """
    checkpoint = read_json(batches / CHECKPOINT)
    own = own_batches(checkpoint)
    for entry in own:
        path = batches / meta_name(entry["batch"])
        if (found := hash_or_reason(path)) != entry["meta_sha256"]:
            raise FormatError(path, expected=f"sha256 {entry['meta_sha256']}, as the checkpoint lists", found=found,
                              remedy="Run dvc repro: what is damaged is rendered again.")  # fmt: skip
    splits = Counter(triple["split"] for meta in own_metas(batches, checkpoint) for triple in meta["triples"])
    parts = {path.name: file_hashes(path) for path in (run.irs, run.embeddings, run.vocals, run.plan)}
    return {
        "run_number": checkpoint["run_number"], "status": checkpoint["status"],
        "plan_sha256": checkpoint["plan_sha256"], "n_batches": checkpoint["n_batches"],
        "triples_completed": checkpoint["triples_completed"],
        "n_rejected": sum(entry["n_rejected"] for entry in checkpoint["batches"]),
        "splits": dict(sorted(splits.items())), "sample_rate": sample_rate, "shapes": _shapes(batches, own),
        "size_bytes": run.size_bytes + folder_bytes(batches), "batches": checkpoint["batches"], "parts": parts,
    }  # fmt: skip


def mismatches(folder: Path, entries: list[dict]) -> list[Path]:
    """Return the files that are missing or do not have the hash listed.

    Args:
        folder: of batches.
        entries: batches as a checkpoint or a manifest lists them, all of them in this folder.
    """
    return [folder / name for name, sha256 in listed_hashes(entries).items() if hash_or_reason(folder / name) != sha256]


def _shapes(folder: Path, entries: list[dict]) -> dict:
    """Return dtype and shape of a triple's arrays, which all batches share; nothing without a sound batch."""
    paths = ((folder / entry["file"], entry["sha256"]) for entry in entries)
    sound = next((path for path, sha256 in paths if hash_or_reason(path) == sha256), None)
    if sound is None:
        return {}
    arrays = open_batch(sound)
    return {name: {"dtype": str(arrays[name].dtype), "shape": list(arrays[name].shape[1:])}
            for name in (SOURCE, TARGET, EMBEDDING)}  # fmt: skip


def closing_message(manifest: dict, run_folder: Path) -> str:
    """Return what a person should know at the end of a run: halted (how to go on), or complete."""
    done, n_batches = len(manifest["batches"]), manifest["n_batches"]
    size = f"{manifest['size_bytes'] / 1e9:.2f} GB"
    if manifest["status"] == "complete":
        return (
            f"COMPLETE: {manifest['triples_completed']} triples in {n_batches} batches, {size} in this run, "
            f"{manifest['n_rejected']} rejected. All hashes are in {run_folder}/manifest.json; load them with "
            f"soundgate.tracks.rooms.dataset.TripleDataset."
        )
    return (
        f"HALTED by the budget after {done} of {n_batches} batches ({manifest['triples_completed']} triples, "
        f"{size}). To go on: keep {run_folder} as it is somewhere else (say, ../run{manifest['run_number']}), then\n"
        f"  soundgate repro ablation=chained_rooms rooms.chain.previous_run=../run{manifest['run_number']}\n"
        "with the profile and overrides of this run; or raise rooms.render.budget_gb."
    )
