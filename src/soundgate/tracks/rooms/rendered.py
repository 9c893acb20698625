"""Triples rendered as they are asked for: endless data without storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset, IterableDataset, Sampler, get_worker_info

from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import read_json
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.rooms.batches import to_int16
from soundgate.tracks.rooms.dataset import as_item
from soundgate.tracks.rooms.embed import load_embeddings
from soundgate.tracks.rooms.irs import load_catalogue
from soundgate.tracks.rooms.plan import DRAWN_NAME, Draws, PlanSettings
from soundgate.tracks.rooms.segments import load_segments
from soundgate.tracks.rooms.triple import Renderer

STAGE = "rooms-rendered"
# Of a sampler: (epoch, index).
Place = tuple[int, int]


class RenderedTriples(Dataset):
    """The triples of one split, rendered from a run's voices and rooms when they are asked for.

    Epoch 0 is what the run planned: the same samples as its stored batches hold (but for items that were rejected
    there, which stand as they are). In every other epoch each voice has other rooms, wetness and degradations of its
    split, drawn by epoch and item: the same in every process and order. Worker processes, forked or spawned, open the
    run's files by themselves; a pickled data set has its settings alone.

    Args:
        folder: of a run (``data/<profile>/rooms``) with its ``irs``, ``embeddings``, ``vocals`` and ``plan``.
        split: ``train``, ``validation`` or ``test``.
        epoch: that a plain index is of; `TripleSampler` gives epochs with its indices.

    Raises:
        FormatError: a part of the run is missing, or the split is none.
    """

    def __init__(self, folder: str | Path, split: str, epoch: int = 0) -> None:
        self.folder, self.split, self.epoch = Path(folder).resolve(), split, epoch
        self._open()

    def _open(self) -> None:
        path = self.folder / "plan" / DRAWN_NAME
        if not path.is_file():
            raise FormatError(path, expected="how a run was drawn", found="no such file", remedy="Run: soundgate repro")
        drawn = read_json(path)
        catalogue = load_catalogue(self.folder / "irs")
        self._segments = load_segments(self.folder / "vocals")
        self._embeddings = load_embeddings(self.folder / "embeddings")
        settings = PlanSettings.model_validate(drawn["settings"])
        self._draws = Draws(self._segments.table, catalogue.entries, settings, drawn["seed"])
        self._items = self._draws.items(self.split)
        self._renderer = Renderer(
            catalogue.ir, look_back=catalogue.look_back, samples=self._segments.samples,
            sample_rate=self._segments.sample_rate,
        )  # fmt: skip

    def __getstate__(self) -> dict:
        """Return what a worker process needs to open the run itself."""
        return {"folder": self.folder, "split": self.split, "epoch": self.epoch}

    def __setstate__(self, state: dict) -> None:
        """Open the run in this process."""
        self.__dict__ |= state
        self._open()

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, place: int | Place) -> dict:
        """Render one triple.

        Args:
            place: an index in the data set's epoch, or ``(epoch, index)``.

        Returns:
            What `TripleDataset` gives of it, see `as_item`.
        """
        epoch, index = (self.epoch, place) if isinstance(place, int | np.integer) else place
        drawn = self._draws.draw(int(self._items[index]), epoch)
        dry = self._segments.segment(drawn["segment_id"])
        rooms = drawn["bad_ir"], drawn["target_ir"]
        triple = self._renderer.render(dry, drawn["valid_samples"], *rooms, drawn["wet"], drawn["effects"])
        facts = drawn | {"source_gain": triple.source_gain, "target_gain": triple.target_gain}
        embedding = self._embeddings[drawn["target_ir"]]
        return as_item(to_int16(triple.source), to_int16(triple.target), embedding, facts)

    def describe(self, index: int, epoch: int = 0) -> dict:
        """Return what a triple is made of: voice, rooms, wetness, degradations."""
        return self._draws.draw(int(self._items[index]), epoch)


class TripleSampler(Sampler):
    """Endless epochs of a `RenderedTriples`, each in an order of its own, shared out to ranks, begun anywhere.

    Give it to a DataLoader as its sampler. The order depends on seed and epoch alone; rank r of R has every R-th place
    from the r-th on. Going on at a place gives what an uninterrupted run would have given from there.

    Args:
        dataset: to draw from.
        seed: of the orders.
        start: places (of this rank) that were drawn before.
        count: places to give; None: without end.
        rank: of this process.
        ranks: how many there are.
    """

    def __init__(
        self, dataset: RenderedTriples, seed: int = 0, start: int = 0, count: int | None = None, rank: int = 0,
        ranks: int = 1,
    ) -> None:  # fmt: skip
        self._size, self._seed, self._start, self._count = len(dataset), seed, start, count
        self._rank, self._ranks = rank, ranks

    def __iter__(self) -> Iterator[Place]:
        epoch, order = -1, np.empty(0, np.int64)
        place = self._start * self._ranks + self._rank
        given = 0
        while self._count is None or given < self._count:
            if place // self._size != epoch:
                epoch = place // self._size
                order = keyed_generator(self._seed, STAGE, f"epoch {epoch}").permutation(self._size)
            yield epoch, int(order[place % self._size])
            place += self._ranks
            given += 1


class TripleStream(IterableDataset):
    """The same as an iterable data set, for loaders that know no samplers.

    Worker w of W gives every W-th place. Their order over all workers is the sampler's with ``batch_size=None``, which
    is how to use it: a DataLoader that makes batches of it gives each worker batches of its own.

    Args:
        dataset: to render with.
        sampler: which places.
    """

    def __init__(self, dataset: RenderedTriples, sampler: TripleSampler) -> None:
        self._dataset, self._sampler = dataset, sampler

    def __iter__(self) -> Iterator[dict]:
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for number, place in enumerate(self._sampler):
            if number % step == first:
                yield self._dataset[place]
