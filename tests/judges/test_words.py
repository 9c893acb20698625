"""What the judge of words writes, and what it must not write where nobody speaks."""

import numpy as np
import pytest

from soundgate.corpora.espeak import SAMPLE_RATE
from soundgate.judges.trial.generated import SENTENCES
from soundgate.judges.whisper import Transcript
from soundgate.judges.words import _windows, word_error

RATE = 16_000


@pytest.fixture
def judge(named):
    return named("words")


def test_sentences_of_a_synthetic_voice_are_heard(judge, speak):
    errors = [word_error(text, judge.transcripts([speak(text)], SAMPLE_RATE)[0]) for text in SENTENCES[3:6]]
    assert np.mean(errors) < 0.5, errors


def test_other_words_are_an_error(judge, speak):
    same, other = (speak(text) for text in SENTENCES[5:7])
    found = judge.compare([same, same], [same, other], SAMPLE_RATE)
    assert found.values["word_error"][0] == 0 and found.values["word_error"][1] > 0.7


@pytest.mark.parametrize("level", [1e-4, 0.1])
@pytest.mark.parametrize("kind", ["white", "pink", "tone", "chord", "clicks"])
def test_nothing_is_heard_where_nobody_speaks(judge, kind, level):
    scores = judge.score(level * unspoken(kind)[None], RATE)
    assert scores.notes == ("no word heard",) and scores.texts == ("",)
    assert scores.values["words_per_s"] == 0 and np.isnan(scores.values["word_confidence"][0])


def unspoken(kind):
    time, generator = np.arange(4 * RATE) / RATE, np.random.default_rng(0)
    white = generator.standard_normal(len(time))
    signals = {
        "white": lambda: white,
        "pink": lambda: np.fft.irfft(np.fft.rfft(white) / np.sqrt(1 + np.arange(len(time) // 2 + 1))) * 10,
        "tone": lambda: np.sin(2 * np.pi * 220 * time),
        "chord": lambda: sum(np.sin(2 * np.pi * hz * time) for hz in (220, 277, 330)) * np.exp(-(time % 1) * 4),
        "clicks": lambda: (np.arange(len(time)) % 4000 == 0) * 5.0,
    }
    return signals[kind]().astype(np.float32)


@pytest.mark.parametrize(("text", "kept"), [(" a few words", "a few words"), (" thank you" * 30, "")])
def test_what_repeats_itself_is_nothing(judge, speak, monkeypatch, text, kept):
    tokens = judge.vocabulary.encode(text, add_special_tokens=False).ids
    monkeypatch.setattr(judge.network, "transcribe", lambda *_: Transcript(tokens, -0.5))
    assert judge.transcripts([speak(SENTENCES[5])], SAMPLE_RATE) == [kept]


def test_long_signals_are_cut_where_they_are_quiet():
    wav = np.random.default_rng(0).standard_normal(70 * RATE).astype(np.float32)
    wav[27 * RATE : 27 * RATE + 400] = 0
    parts = list(_windows(wav))
    np.testing.assert_array_equal(np.concatenate(parts), wav)
    assert max(map(len, parts)) <= 30 * RATE and min(map(len, parts[:-1])) >= 25 * RATE
    assert abs(len(parts[0]) - 27 * RATE) < 400
    assert [len(part) for part in _windows(wav[: 30 * RATE])] == [30 * RATE]


def test_words_before_and_after_a_long_pause_are_heard(judge, speak):
    said = speak(SENTENCES[5])
    pause = np.zeros(28 * SAMPLE_RATE, np.float32)
    (heard,) = judge.transcripts([np.concatenate([said, pause, said])], SAMPLE_RATE)
    assert word_error(f"{SENTENCES[5]} {SENTENCES[5]}", heard) < 0.3
