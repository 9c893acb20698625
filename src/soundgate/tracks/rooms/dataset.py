"""Triples for training, read from their batches by memory map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import read_json
from soundgate.tracks.rooms.batches import EMBEDDING, FULL_SCALE, SOURCE, TARGET, batch_name, meta_name, open_batch
from soundgate.tracks.rooms.chain import MANIFEST
from soundgate.tracks.rooms.manifest import mismatches


class TripleDataset(Dataset):
    """The triples of one split of a run, or of a chain of runs.

    Args:
        folders: the run folder (``data/<profile>/rooms``); of a chain all of them, in any order.
        split: ``train``, ``validation`` or ``test``; None takes all.
        verify: whether to hash every batch first (1 to 2 GB a second).

    Raises:
        FormatError: a batch is missing or damaged, or the folders are not all runs of one chain.
    """

    def __init__(
        self, folders: str | Path | Sequence[str | Path], split: str | None = None, verify: bool = True
    ) -> None:
        folders = [folders] if isinstance(folders, str | Path) else list(folders)
        runs = {manifest["run_number"]: (Path(folder), manifest) for folder, manifest in map(_manifest, folders)}
        _, last = runs[max(runs)]
        self._batches: dict[int, dict[str, np.memmap]] = {}
        self._items: list[tuple[int, int, dict]] = []
        self._paths = {}
        for entry in last["batches"]:
            if entry["run"] not in runs:
                raise FormatError(
                    folders[-1], expected=f"the folder of run {entry['run']} too, which holds {entry['file']}",
                    found=f"runs {sorted(runs)}",
                )  # fmt: skip
            folder = runs[entry["run"]][0] / "batches"
            if verify and (wrong := mismatches(folder, [entry])):
                raise FormatError(wrong[0], expected=f"the bytes {MANIFEST} lists", found="others, or no file")
            self._add(folder, entry["batch"], split)

    def _add(self, folder: Path, batch: int, split: str | None) -> None:
        self._paths[batch] = folder / batch_name(batch)
        triples = read_json(folder / meta_name(batch))["triples"]
        self._items += [(batch, row, triple) for row, triple in enumerate(triples) if split in (None, triple["split"])]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return ``source`` and ``target`` float32 ``[1, T]`` in [-1, 1] and ``embedding`` float32 ``[D]``."""
        batch, row, _ = self._items[index]
        if batch not in self._batches:
            self._batches[batch] = dict(open_batch(self._paths[batch]))
        arrays = self._batches[batch]
        source, target = (
            torch.from_numpy(arrays[name][row].astype(np.float32) / FULL_SCALE)[None] for name in (SOURCE, TARGET)
        )
        return {"source": source, "target": target, "embedding": torch.from_numpy(arrays[EMBEDDING][row].copy())}

    def describe(self, index: int) -> dict:
        """Return everything that is known of a triple: voice, rooms, gains, degradations."""
        return self._items[index][2]


def _manifest(folder: str | Path) -> tuple[Path, dict]:
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise FormatError(path, expected="the manifest of a run", found="no such file", remedy="Run: dvc repro")
    return Path(folder), read_json(path)
