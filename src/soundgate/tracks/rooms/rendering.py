"""Rendering a plan into batches: as many as the budget allows, each of them whole or absent.

The folder is its own memory: a batch counts when its `_meta.json` names the hash its file has. So a run that
was killed, filled the disk or met a damaged file goes on by making what is missing, and `checkpoint.json`,
rewritten after every batch, is only its summary.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from soundgate.audio.effects import Effect
from soundgate.runtime.config import Section
from soundgate.runtime.console import logger
from soundgate.runtime.errors import FormatError
from soundgate.runtime.execution import map_items
from soundgate.runtime.files import read_json, sha256_of, write_json
from soundgate.tracks.rooms.batches import batch_bytes, batch_name, meta_name, to_int16, write_batch
from soundgate.tracks.rooms.embed import load_embeddings
from soundgate.tracks.rooms.irs import load_catalogue
from soundgate.tracks.rooms.plan import PLAN_NAME
from soundgate.tracks.rooms.quality import QualitySettings, reject_reason
from soundgate.tracks.rooms.segments import load_segments
from soundgate.tracks.rooms.triple import Renderer

CHECKPOINT = "checkpoint.json"
# Of one triple's entry in `_meta.json`, at most: what the budget sets aside for it.
META_BYTES = 6144


class RenderSettings(Section):
    """Limits of a run.

    Args:
        budget_gb: 10⁹ bytes that the batches of this run may take, whatever rooms and voices take beside them.
        quality: limits of a triple.
    """

    budget_gb: float = Field(gt=0)
    quality: QualitySettings


@dataclass(frozen=True)
class RunFolder:
    """Where the parts of a run lie."""

    irs: Path
    embeddings: Path
    vocals: Path
    plan: Path

    def absolute(self) -> RunFolder:
        """Return the same with absolute paths, for worker processes."""
        return RunFolder(*(path.absolute() for path in (self.irs, self.embeddings, self.vocals, self.plan)))

    @property
    def size_bytes(self) -> int:
        """Bytes of all parts."""
        return sum(folder_bytes(path) for path in (self.irs, self.embeddings, self.vocals, self.plan))


def folder_bytes(path: Path) -> int:
    """Return the size of a file, or of all files under a folder."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def render(
    run: RunFolder, out: Path, settings: RenderSettings, earlier: list[dict] | None = None, run_number: int = 1
) -> dict:
    """Render what is missing of a plan into ``out``.

    Args:
        run: the parts to render from.
        out: gets `batch_NNNN.npz`, `batch_NNNN_meta.json` and `checkpoint.json`.
        settings: see `RenderSettings`.
        earlier: batches of the runs this one continues, as their checkpoints list them; they are not made again.
        run_number: 1 for a run that continues none.

    Returns:
        The checkpoint: run_number, status (``complete`` or ``halted``), plan_sha256, n_batches, next_batch,
        triples_completed, budget_bytes, size_bytes, and for each batch file, run, sha256, meta_sha256,
        bytes, n_triples, n_rejected.

    Raises:
        FormatError: no more room on the disk, or a part of the run has changed.
    """
    out.mkdir(parents=True, exist_ok=True)
    _remove_partial(out)
    plan = pd.read_parquet(run.plan / PLAN_NAME, columns=["batch", "spare"])
    n_batches = int(plan["batch"].max()) + 1
    load_catalogue(run.irs)
    load_segments(run.vocals, verify=True)
    done = {entry["batch"]: entry for entry in earlier or []}
    done |= {batch: entry for batch in range(n_batches) if (entry := committed(out, batch, run_number)) is not None}
    header = {"run_number": run_number, "plan_sha256": sha256_of(run.plan / PLAN_NAME), "n_batches": n_batches}
    _write_checkpoint(out, header, done, settings)
    budget = int(settings.budget_gb * 1e9) - folder_bytes(out)
    todo = _affordable(plan, [batch for batch in range(n_batches) if batch not in done], budget, run)
    work = partial(_render_batch, run.absolute(), out.absolute(), settings.quality)
    for batch, sha256, meta in map_items(work, todo, "Triples"):
        done[batch] = _commit(out, batch, sha256, meta, run_number)
        _write_checkpoint(out, header, done, settings)
    return _write_checkpoint(out, header, done, settings)


def committed(folder: Path, batch: int, run_number: int) -> dict | None:
    """Return the entry of a finished batch, or None where it is missing or its bytes are not those promised."""
    path, meta_path = folder / batch_name(batch), folder / meta_name(batch)
    if not meta_path.exists():
        return None
    try:
        meta = read_json(meta_path)
        if sha256_of(path) == meta["sha256"]:
            return _entry(folder, batch, meta, run_number)
        logger.warning("%s is damaged: rendering it again", path)
    except (OSError, ValueError, KeyError) as error:
        logger.warning("%s is damaged (%s): rendering it again", meta_path, error)
    return None


def _entry(folder: Path, batch: int, meta: dict, run_number: int) -> dict:
    return {
        "batch": batch, "file": batch_name(batch), "run": run_number, "sha256": meta["sha256"],
        "meta_sha256": sha256_of(folder / meta_name(batch)),
        "bytes": (folder / batch_name(batch)).stat().st_size, "n_triples": len(meta["triples"]),
        "n_rejected": len(meta["rejected"]),
    }  # fmt: skip


def _commit(out: Path, batch: int, sha256: str, meta: dict, run_number: int) -> dict:
    """Rename a rendered batch into place, then what vouches for it."""
    partial_path(out, batch).rename(out / batch_name(batch))
    write_json(out / meta_name(batch), {"batch": batch, "sha256": sha256} | meta)
    return _entry(out, batch, read_json(out / meta_name(batch)), run_number)


def _write_checkpoint(out: Path, header: dict, done: dict, settings: RenderSettings) -> dict:
    n_batches = header["n_batches"]
    entries = [done[batch] for batch in sorted(done)]
    checkpoint = header | {
        "status": "complete" if len(done) == n_batches else "halted",
        "next_batch": next((batch for batch in range(n_batches) if batch not in done), n_batches),
        "triples_completed": sum(entry["n_triples"] for entry in entries),
        "budget_bytes": int(settings.budget_gb * 1e9),
        "size_bytes": sum(
            entry["bytes"] + (out / meta_name(entry["batch"])).stat().st_size
            for entry in entries if entry["run"] == header["run_number"]
        ),
        "batches": entries,
    }  # fmt: skip
    write_json(out / CHECKPOINT, checkpoint)
    return checkpoint


def _affordable(plan: pd.DataFrame, batches: list[int], budget: int, run: RunFolder) -> list[int]:
    """Return the batches, in order, whose largest possible size together stays inside the budget."""
    wanted = plan[~plan["spare"]].groupby("batch").size()
    samples = load_segments(run.vocals).samples
    dim = len(next(iter(load_embeddings(run.embeddings).values())))
    costs = np.cumsum([batch_bytes(wanted[b], samples, dim) + META_BYTES * (1 + wanted[b]) for b in batches])
    return batches[: int(np.searchsorted(costs, budget, side="right"))]


def partial_path(out: Path, batch: int) -> Path:
    """Return where a batch is written before it is renamed into place."""
    return out / f".{batch_name(batch)}.partial"


def _remove_partial(out: Path) -> None:
    for left_by_a_kill in out.glob(".*.partial*"):
        left_by_a_kill.unlink()


def _render_batch(run: RunFolder, out: Path, quality: QualitySettings, batch: int) -> tuple[int, str, dict]:
    """Render one batch under its partial name; the result depends on the plan's rows of that batch alone."""
    plan = pd.read_parquet(run.plan / PLAN_NAME, filters=[("batch", "==", batch)])
    renderer, segments, embeddings = _opened(run)
    n_wanted, dim = int((~plan["spare"]).sum()), len(next(iter(embeddings.values())))
    source, target = np.empty((2, n_wanted, segments.samples), np.int16)
    embedding = np.empty((n_wanted, dim), np.float32)
    triples, rejected = [], []
    for row in plan.to_dict("records"):
        if len(triples) == n_wanted:
            break
        effects = [Effect(**effect) for effect in json.loads(row["effects"])]
        dry = segments.segment(row["segment_id"])
        triple = renderer.render(dry, row["valid_samples"], row["bad_ir"], row["target_ir"], row["wet"], effects)
        reason = reject_reason(triple.source, triple.target, quality)
        if reason is not None:
            rejected.append({"item": row["item"], "reason": reason})
            continue
        position = len(triples)
        source[position], target[position] = to_int16(triple.source), to_int16(triple.target)
        embedding[position] = embeddings[row["target_ir"]]
        triples.append({key: row[key] for key in row if key not in ("batch", "effects")} | {
            "source_gain": triple.source_gain, "target_gain": triple.target_gain, "wet_gain": triple.wet_gain,
            "effects": [e.settings | r for e, r in zip(effects, triple.effects, strict=True)]})  # fmt: skip
    kept = slice(0, len(triples))
    try:
        sha256 = write_batch(partial_path(out, batch), source[kept], target[kept], embedding[kept])
    except OSError as error:
        raise FormatError(
            out / batch_name(batch), expected=f"{batch_bytes(n_wanted, segments.samples, dim)} bytes free",
            found=error.strerror, remedy="Make room and run again: finished batches are kept.",
        ) from error  # fmt: skip
    return batch, sha256, {"triples": triples, "rejected": rejected}


@cache
def _opened(run: RunFolder) -> tuple[Renderer, object, dict]:
    """Open the parts once in each process; they are checked against their hashes there."""
    catalogue, segments = load_catalogue(run.irs), load_segments(run.vocals)
    renderer = Renderer(
        catalogue.ir, look_back=catalogue.look_back, samples=segments.samples,
        sample_rate=segments.sample_rate,
    )  # fmt: skip
    return renderer, segments, load_embeddings(run.embeddings)
