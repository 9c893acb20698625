"""Which utterances of an endless row are kept: the first ones, or some of every speaker."""

from __future__ import annotations

import numpy as np

Place = tuple[int | str, int]


class Reservoir:
    """Keeps vectors of utterances as they come; an utterance that is not drawn need not be embedded.

    Args:
        size: vectors at most in the end.
        per_speaker: of each speaker at most, each of the speaker's utterances as likely as any; None: the first ones.
        generator: of the draws.

    Source: Vitter 1985, "Random sampling with a reservoir", algorithm R.
    """

    def __init__(self, size: int, per_speaker: int | None, generator: np.random.Generator) -> None:
        self.size, self.generator = size, generator
        # Two speakers are the least that can be compared.
        self.per_speaker = None if per_speaker is None else min(per_speaker, max(1, size // 2))
        self._counts: dict[int | str, int] = {}
        self._n_drawn = 0
        self._vectors: dict[Place, np.ndarray] = {}

    @property
    def is_full(self) -> bool:
        """Whether nothing that comes later is kept."""
        return self.per_speaker is None and self._n_drawn >= self.size

    def draw(self, speaker: int | str) -> Place | None:
        """Return the place of this speaker's next utterance; None: it is not kept."""
        if self.is_full:
            return None
        count = self._counts.get(speaker, 0)
        self._counts[speaker] = count + 1
        self._n_drawn += 1
        if self.per_speaker is None or count < self.per_speaker:
            return speaker, count
        place = int(self.generator.integers(count + 1))
        return (speaker, place) if place < self.per_speaker else None

    def add(self, places: list[Place], vectors: np.ndarray) -> None:
        """Put vectors [n, D] in their places; of two in one place, the later stays."""
        self._vectors |= {place: np.array(vector) for place, vector in zip(places, vectors, strict=True)}

    def contents(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors [N, D] and their speakers [N], in the order of their first coming.

        Of more speakers than there is room for some are drawn, with all that is kept of each.
        """
        if not self._vectors:
            return np.zeros((0, 0), np.float32), np.zeros(0, np.int64)
        chosen = self._speakers()
        places = [place for place in self._vectors if place[0] in chosen]
        speakers = [speaker for speaker, _ in places]
        if len({isinstance(speaker, str) for speaker in speakers}) > 1:
            speakers = [str(speaker) for speaker in speakers]
        return np.stack([self._vectors[place] for place in places]), np.array(speakers)

    def _speakers(self) -> set[int | str]:
        counts: dict[int | str, int] = {}
        for speaker, _ in self._vectors:
            counts[speaker] = counts.get(speaker, 0) + 1
        if len(self._vectors) <= self.size:
            return set(counts)
        order = self.generator.permutation(len(counts))
        speakers = [list(counts)[number] for number in order]
        fits = np.cumsum([counts[speaker] for speaker in speakers]) <= self.size
        return {speaker for speaker, own in zip(speakers, fits, strict=True) if own}
