"""Utterances of any DataLoader, a batch at a time, at one sample rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from soundgate.audio.io import resample
from soundgate.runtime.console import logger, track
from soundgate.runtime.errors import CorpusError
from soundgate.tracks.voice.loading.columns import NAMES, Misread, columns_of, contents_of
from soundgate.tracks.voice.loading.kinds import Audio, described

_REMEDY = (
    "Name the entries, fields={'wav': ..., 'speaker': ..., 'lengths': ..., 'sample_rate': ...} (names, or positions in "
    "a tuple), or change the loader's collate_fn."
)


class SpokenBatch(NamedTuple):
    """Utterances of a batch.

    Args:
        wav: float32 [B, T], on the device that the loader put it on; what is behind an utterance's end is padding.
        lengths: int64 [B], samples of each utterance.
        speakers: int64 or str [B].
    """

    wav: Tensor
    lengths: np.ndarray
    speakers: np.ndarray

    def of(self, chosen: np.ndarray) -> SpokenBatch:
        """Return the utterances that are chosen, bool [B]."""
        if chosen.all():
            return self
        return SpokenBatch(self.wav[torch.from_numpy(chosen)], self.lengths[chosen], self.speakers[chosen])


def spoken_batches(
    loader: Iterable,
    stage: str,
    *,
    model_rate: int | None,
    sample_rate: int | None = None,
    fields: Mapping[str, str | int] | None = None,
) -> Iterator[SpokenBatch]:
    """Yield the utterances of a loader under a progress bar.

    A batch is a mapping, a named tuple, a dataclass, an object with attributes, a tuple or list, or a list of items.
    Audio, speakers, lengths and sample rates are found by their names (`NAMES`), otherwise by types and shapes where
    these leave no choice; the first batch's are logged.

    Args:
        loader: gives batches; a dataset's items are batches of one.
        stage: what errors begin with.
        model_rate: Hz that audio is brought to; None: it stays as it is, and has to be of one rate.
        sample_rate: Hz of batches that do not say their own; None: ``model_rate``.
        fields: where ``wav``, ``speaker``, ``lengths`` and ``sample_rate`` are, by name or by position in a tuple;
            those left out are searched.

    Raises:
        CorpusError: a batch that is not understood, whose samples are not finite, or whose rate is another than that
            of those before where the model's is not known.
    """
    fields = dict(fields or {})
    if unknown := set(fields) - set(NAMES):
        raise CorpusError(stage, expected=f"fields out of {', '.join(NAMES)}", found=", ".join(sorted(unknown)))
    reader = _Reader(f"{stage}, loader", model_rate, sample_rate, fields)
    for number, batch in enumerate(track(_items(loader), stage, total=_length(loader))):
        yield reader.read(batch, number)


class _Reader:
    """Reads batch after batch; see `spoken_batches`."""

    def __init__(
        self, subject: str, model_rate: int | None, sample_rate: int | None, fields: Mapping[str, str | int]
    ) -> None:
        self.subject, self.model_rate, self.sample_rate, self.fields = subject, model_rate, sample_rate, fields
        self.rates_seen: set[int] = set()

    def read(self, batch: object, number: int) -> SpokenBatch:
        """Return the utterances of batch ``number``."""
        subject = f"{self.subject}, batch {number}"
        try:
            contents = contents_of(columns_of(batch), self.fields)
        except Misread as error:
            raise CorpusError(subject, expected=error.expected, found=described(batch), remedy=_REMEDY) from error
        if not number:
            logger.info("%s: %s", self.subject, ", ".join(f"{kind} in {key!r}" for kind, key in contents.keys.items()))
        bad = ~torch.isfinite(contents.audio.wav).all(dim=1)
        if bad.any():
            found = f"NaN or infinity in {int(bad.sum())} of {len(bad)} utterances"
            raise CorpusError(subject, expected="finite samples", found=found)
        audio = self._at_rate(contents.audio, contents.rates, subject)
        return SpokenBatch(audio.wav, audio.lengths, contents.speakers)

    def _at_rate(self, audio: Audio, rates: np.ndarray | None, subject: str) -> Audio:
        """Return audio at the model's rate."""
        if rates is None:
            rates = np.full(len(audio.wav), self.sample_rate or self.model_rate or 0)
        if self.model_rate is None:
            self.rates_seen |= set(rates.tolist())
            if len(self.rates_seen) > 1:
                found = ", ".join(f"{rate} Hz" if rate else "not said" for rate in sorted(self.rates_seen))
                remedy = "Resample in the dataset, or give the model an attribute features.sample_rate."
                raise CorpusError(subject, expected="one sample rate", found=found, remedy=remedy)
            return audio
        if (rates == self.model_rate).all():
            return audio
        rows = [
            torch.from_numpy(resample(wav[None, :length].cpu().numpy(), int(rate), self.model_rate)[0])
            for wav, length, rate in zip(audio.wav, audio.lengths, rates, strict=True)
        ]
        return Audio(pad_sequence(rows, batch_first=True), np.array([len(row) for row in rows]))


def _items(loader: Iterable) -> Iterator[object]:
    """Return what a loader gives; a dataset without iteration of its own, such as torch's, gives its items in order.

    A generator that is left before its end stays open, and may be gone on with.
    """
    if hasattr(loader, "__iter__"):
        return (item for item in loader)
    return (loader[number] for number in range(len(loader)))


def _length(loader: Iterable) -> int | None:
    """Return how many batches there are; None where nobody knows, as of an iterable dataset."""
    try:
        return len(loader)
    except TypeError:
        return None
