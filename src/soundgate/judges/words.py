"""What is said: CMU PocketSphinx with the English models that its package holds."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from pocketsphinx import Decoder
from torchaudio.functional import edit_distance

from soundgate.judges.base import Card, Figure, Judge, Signals, Verdict, is_silent
from soundgate.judges.packaged import Packaged
from soundgate.runtime.randomness import keyed_generator

_MODEL = "pocketsphinx/model/en-us"
_MEANS = Packaged(
    "pocketsphinx", f"{_MODEL}/en-us/means", "832019e32cac12eb318964f96f469034acb12d0348eeddc3831831a100cb4dd4"
)
_HEADER_END = b"endhdr\n"
_PREAMBLE_BYTES = 32  # byte order, three counts, three lengths of vectors, count of numbers
_VECTOR = 13
_CHECKSUM_BYTES = 4


class WordsJudge(Judge):
    """Write down English speech, and count the words that differ from those of a reference."""

    name = "words"
    sample_rate = 16_000
    min_rate = 16_000
    min_s = 0.3
    aligned = False
    figures = (
        Figure("words_per_s", "1/s", 0, np.inf, "neither", "words heard; the text beside it says which"),
        Figure("word_confidence", "", 0, 1, "higher", "mean posterior of the words among those considered"),
    )
    pair_figures = (
        Figure(
            "word_error", "", 0, np.inf, "lower", "words substituted, lost and added, by words heard in the reference"
        ),
    )
    card = Card(
        package="pocketsphinx 5.1.1",
        licence="BSD-2-Clause",
        source="Huggins-Daines et al. 2006 (PocketSphinx); acoustic model en-us (PTM), Alpha Cephei 2015",
        trained_on="US English speech, which its publisher does not list; a general trigram language model",
        never_ask="music, singing, other languages; how many words are right: few are, even of clean speech",
        serves=("voice",),
    )

    def __init__(self, acoustic_model: Path | None = None) -> None:
        options = {} if acoustic_model is None else {"hmm": str(acoustic_model)}
        self.decoder = Decoder(samprate=self.sample_rate, loglevel="FATAL", **options)

    def twin(self, seed: int) -> WordsJudge:
        """Return the judge with the means of its acoustic model's densities in random order."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, "model")
            shutil.copytree(_MEANS.locate().parent, copy)
            (copy / "means").write_bytes(_shuffled_means((copy / "means").read_bytes(), seed))
            return WordsJudge(copy)

    def transcripts(self, wav: Signals, sample_rate: int) -> list[str]:
        """Return what is heard in each signal, lower case, empty for silence; see `Judge.score` for the rest."""
        return [self._hear(signal)[0] for signal in self.signals("wav", wav, sample_rate)]

    def _score(self, wav: np.ndarray) -> Verdict:
        text, confidence = self._hear(wav)
        rate = len(text.split()) / (len(wav) / self.sample_rate)
        if not text:
            return Verdict({"words_per_s": 0.0}, "no word heard")
        return Verdict({"words_per_s": rate, "word_confidence": confidence}, text=text)

    def _compare(self, reference: np.ndarray, degraded: np.ndarray) -> Verdict:
        expected, heard = self._hear(reference)[0], self._hear(degraded)[0]
        if not expected:
            return Verdict({}, "reference: no word heard", heard)
        return Verdict({"word_error": word_error(expected, heard)}, text=heard)

    def _hear(self, wav: np.ndarray) -> tuple[str, float]:
        """Return what is heard, and the mean posterior of its words."""
        if is_silent(wav):
            return "", 0.0
        # Without it what was heard before would decide the level of noise that is subtracted.
        self.decoder.reinit_feat()
        self.decoder.start_utt()
        samples = np.round(np.clip(wav, -1, 1) * np.float32(2**15 - 1)).astype("<i2")
        self.decoder.process_raw(samples.tobytes(), no_search=False, full_utt=True)
        self.decoder.end_utt()
        found = self.decoder.hyp()
        if found is None or not found.hypstr:
            return "", 0.0
        own = [one.prob for one in self.decoder.seg() if not one.word.startswith(("<", "["))]
        return found.hypstr, float(np.mean(own)) if own else 0.0


def word_error(reference: str, heard: str) -> float:
    """Return the edits that turn one transcript into the other, by words of the reference.

    Raises:
        ValueError: the reference has no word.
    """
    expected = reference.lower().split()
    if not expected:
        raise ValueError("reference: expected at least one word; found none")
    return edit_distance(expected, heard.lower().split()) / len(expected)


def _shuffled_means(content: bytes, seed: int) -> bytes:
    """Return a file of means with its vectors of 13 numbers in random order, without the checksum."""
    header, _, body = content.partition(_HEADER_END)
    vectors = np.frombuffer(body[_PREAMBLE_BYTES:-_CHECKSUM_BYTES], "<f4").reshape(-1, _VECTOR)
    shuffled = keyed_generator(seed, "judge-twin", "words").permutation(vectors)
    unchecked = header.replace(b"chksum0 yes\n", b"") + _HEADER_END
    return unchecked + body[:_PREAMBLE_BYTES] + shuffled.tobytes()


def load() -> WordsJudge:
    """Load the judge; see `soundgate.judges.registry.load_judge`."""
    _MEANS.locate()
    return WordsJudge()
