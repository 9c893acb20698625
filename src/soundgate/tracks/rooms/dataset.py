"""Triples for training, read from their batches by memory map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
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
        verify: whether to hash each batch when it is first read (1 to 2 GB a second, once in each process).

    Raises:
        FormatError: the folders are not all runs of one chain; when a triple is read: its batch is missing or damaged.
    """

    def __init__(
        self, folders: str | Path | Sequence[str | Path], split: str | None = None, verify: bool = True
    ) -> None:
        folders = [folders] if isinstance(folders, str | Path) else list(folders)
        runs = {manifest["run_number"]: (Path(folder), manifest) for folder, manifest in map(_manifest, folders)}
        _, last = runs[max(runs)]
        self._batches: dict[int, dict[str, np.memmap]] = {}
        self._items: list[tuple[int, int, dict]] = []
        self._verify = verify
        self._entries: dict[int, tuple[Path, dict]] = {}
        for entry in last["batches"]:
            if entry["run"] not in runs:
                raise FormatError(
                    folders[-1], expected=f"the folder of run {entry['run']} too, which holds {entry['file']}",
                    found=f"runs {sorted(runs)}",
                )  # fmt: skip
            folder = runs[entry["run"]][0] / "batches"
            self._add(folder, entry, split)

    def __getstate__(self) -> dict:
        """Leave the maps behind: a worker opens its own, where pickling them would copy all samples."""
        return self.__dict__ | {"_batches": {}}

    def _add(self, folder: Path, entry: dict, split: str | None) -> None:
        batch = entry["batch"]
        self._entries[batch] = folder, entry
        triples = read_json(folder / meta_name(batch))["triples"]
        self._items += [(batch, row, triple) for row, triple in enumerate(triples) if split in (None, triple["split"])]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> dict:
        """Return a triple as `as_item` does."""
        batch, row, triple = self._items[index]
        if batch not in self._batches:
            self._batches[batch] = self._open(batch)
        arrays = self._batches[batch]
        return as_item(arrays[SOURCE][row], arrays[TARGET][row], arrays[EMBEDDING][row], triple)

    def _open(self, batch: int) -> dict[str, np.memmap]:
        folder, entry = self._entries[batch]
        if self._verify and (wrong := mismatches(folder, [entry])):
            raise FormatError(wrong[0], expected=f"the bytes {MANIFEST} lists", found="others, or no file")
        return dict(open_batch(folder / batch_name(batch)))

    def describe(self, index: int) -> dict:
        """Return everything that is known of a triple: voice, rooms, gains, degradations."""
        return self._items[index][2]


def as_item(source: np.ndarray, target: np.ndarray, embedding: np.ndarray, facts: Mapping) -> dict:
    """Return what training takes of a triple.

    Args:
        source: int16 ``[T]``.
        target: int16 ``[T]``.
        embedding: float32 ``[D]``.
        facts: of the triple: item, valid_samples, source_gain, target_gain.

    Returns:
        ``source`` and ``target`` float32 ``[1, T]`` in [-1, 1], ``embedding`` float32 ``[D]``, ``item`` and
        ``valid_samples`` (int: what lies behind is padding), ``source_gain`` and ``target_gain`` (float: the factors
        that brought them to their levels).
    """
    wavs = {
        name: torch.from_numpy(wav.astype(np.float32) / FULL_SCALE)[None]
        for name, wav in (("source", source), ("target", target))
    }
    numbers = {key: int(facts[key]) for key in ("item", "valid_samples")}
    gains = {key: float(facts[key]) for key in ("source_gain", "target_gain")}
    return wavs | {"embedding": torch.from_numpy(embedding.copy())} | numbers | gains


def _manifest(folder: str | Path) -> tuple[Path, dict]:
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise FormatError(path, expected="the manifest of a run", found="no such file", remedy="Run: dvc repro")
    return Path(folder), read_json(path)
