"""Generated speech is the same whatever was spoken before, by any number of workers."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from soundgate.audio.io import read_audio
from soundgate.corpora.espeak import SAMPLE_RATE, Voice, synthesise
from soundgate.corpora.generated_speech import generate_speech, read_source, utterance
from soundgate.corpora.sentences import Grammar, transcript
from soundgate.runtime.errors import ConfigError, CorpusError
from soundgate.runtime.randomness import keyed_generator
from tests.workers import as_by_workers

SOURCE = Path(__file__).resolve().parents[2] / "sources" / "generated_speech.yaml"
TEXT = "The old captain found a yellow lantern near the river."


def voice(name="en-us+m1", pitch=50, rate_wpm=160):
    return Voice(voice=name, pitch=pitch, pitch_range=50, rate_wpm=rate_wpm)


def fundamental(wav):
    """Return the median frequency of the autocorrelation's first peak over voiced frames, in Hz."""
    frames = np.lib.stride_tricks.sliding_window_view(wav.astype(float), 2048)[::512]
    frames = frames[np.std(frames, axis=1) > 0.3 * np.std(frames)]
    power = np.abs(np.fft.rfft(frames - frames.mean(axis=1, keepdims=True), 4096)) ** 2
    lags = np.fft.irfft(power)[:, SAMPLE_RATE // 400 : SAMPLE_RATE // 60]
    return SAMPLE_RATE / (np.median(np.argmax(lags, axis=1)) + SAMPLE_RATE // 400)


def test_the_same_bytes_whatever_was_spoken_before():
    first = synthesise(TEXT, voice(), seed=1)
    for other in ("en+f2", "en-gb-scotland+Annie", "en-029+klatt2", "en-us+whisper"):
        synthesise("Something else entirely.", voice(other, pitch=90, rate_wpm=200), seed=2)
        np.testing.assert_array_equal(synthesise(TEXT, voice(), seed=1), first)
    time.sleep(1.1)  # the library seeds itself from the clock
    np.testing.assert_array_equal(synthesise(TEXT, voice(), seed=1), first)


def test_parameters_are_heard():
    slow, fast = synthesise(TEXT, voice(rate_wpm=120), 1), synthesise(TEXT, voice(rate_wpm=200), 1)
    assert 1.3 < len(slow) / len(fast) < 2.0
    low, high = synthesise(TEXT, voice(pitch=20), 1), synthesise(TEXT, voice(pitch=80), 1)
    assert fundamental(high) > 1.4 * fundamental(low)


def test_unknown_voices_are_refused():
    with pytest.raises(CorpusError, match="no variant 'zzz'"):
        synthesise(TEXT, voice("en-us+zzz"), 1)
    with pytest.raises(CorpusError, match="error"):
        synthesise(TEXT, voice("xx-yy+m1"), 1)
    with pytest.raises(CorpusError, match="silence"):
        synthesise(" ", voice(), 1)


def test_every_listed_voice_speaks_and_differs():
    source = read_source(SOURCE)
    assert len(source.voices) >= 24
    assert {v.sex for v in source.voices[:2]} == {"F", "M"}
    spoken = [synthesise(TEXT, v, 1) for v in source.voices]
    assert len({wav.tobytes() for wav in spoken}) == len(spoken)
    assert all(np.abs(wav.astype(int)).max() < 32_000 for wav in spoken)
    low = [fundamental(wav) for wav, v in zip(spoken, source.voices, strict=True) if v.sex == "M"]
    high = [fundamental(wav) for wav, v in zip(spoken, source.voices, strict=True) if v.sex == "F"]
    assert np.median(high) > 1.4 * np.median(low)


def test_a_corpus_has_librispeech_layout_and_true_transcripts(tmp_path):
    entries = generate_speech(tmp_path, SOURCE, seed=3, n_speakers=2, n_utterances=17)
    assert len(entries) == 34
    assert entries[16].path == tmp_path / "101" / "10101" / "101-10101-0001.flac"
    lines = (tmp_path / "101" / "10101" / "101-10101.trans.txt").read_text().splitlines()
    source = read_source(SOURCE)
    text, wav = utterance(source, source.voices[0], 3, "101-10101-0001")
    assert lines[1] == f"101-10101-0001 {transcript(text)}"
    audio = read_audio(entries[16].path)
    assert audio.sample_rate == SAMPLE_RATE
    np.testing.assert_array_equal(audio.wav[0] * 32768, wav)
    table = pd.read_csv(tmp_path / "speakers.csv", dtype=str)
    assert table["speaker_id"].tolist() == ["101", "102"]
    assert table["voice"].tolist() == [v.voice for v in source.voices[:2]]


def tree(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_workers_and_corpus_size_change_no_file(tmp_path, monkeypatch):
    generate_speech(tmp_path / "one", SOURCE, 3, 2, 3)
    as_by_workers(monkeypatch)
    generate_speech(tmp_path / "two", SOURCE, 3, 2, 3)
    generate_speech(tmp_path / "more", SOURCE, 3, 3, 4)
    one, more = tree(tmp_path / "one"), tree(tmp_path / "more")
    assert one == tree(tmp_path / "two")
    assert all(more[name] == one[name] for name in one if name.endswith(".flac"))
    generate_speech(tmp_path / "other", SOURCE, 4, 1, 1)
    assert tree(tmp_path / "other")["101/10100/101-10100-0000.flac"] != one["101/10100/101-10100-0000.flac"]


def test_durations_suit_the_tracks():
    source = read_source(SOURCE)
    spoken = [utterance(source, voice, 0, f"u{k}")[1] for voice in source.voices[::5] for k in range(4)]
    durations = np.array([len(wav) / SAMPLE_RATE for wav in spoken])
    assert durations.min() > 3 and durations.max() < 10 and 4 < durations.mean() < 8


def test_grammar_draws_every_template_and_word():
    grammar = Grammar(templates=["a {x}", "b {x} {x}"], words={"x": ["1", "2"]})
    drawn = {grammar.sentence(keyed_generator(0, "t", str(k))) for k in range(200)}
    assert drawn == {"a 1", "a 2", "b 1 1", "b 1 2", "b 2 1", "b 2 2"}
    assert transcript("Don't stop, twenty-five!") == "DON'T STOP TWENTY FIVE"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("{place}", "{nowhere}"), "nowhere"),
        (("speaker: 102", "speaker: 101"), "speakers repeat"),
        (("pitch_range: 30", "pitch_range: 300"), "300"),
        (("jitter:", "gitter:"), "gitter"),
        (("[1, 1]", "[2, 1]"), "2 to 1"),
        (("templates:", "templates: ["), "flow node"),
    ],
)
def test_a_wrong_source_list_is_refused(tmp_path, change, reason):
    (tmp_path / "source.yaml").write_text(SOURCE.read_text().replace(*change))
    with pytest.raises(ConfigError, match=reason):
        read_source(tmp_path / "source.yaml")


def test_too_many_speakers_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="n_speakers"):
        generate_speech(tmp_path, SOURCE, 0, 1_000, 1)
    with pytest.raises(ConfigError):
        read_source(tmp_path / "none.yaml")
