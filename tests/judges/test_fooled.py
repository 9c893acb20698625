"""What outside judges can be fooled by: why no gate rests on one of them alone."""

import numpy as np
import pytest

from soundgate.audio.io import resample
from soundgate.corpora.espeak import SAMPLE_RATE
from soundgate.judges.trial.generated import SENTENCES
from soundgate.judges.words import word_error
from soundgate.tracks.voice.audit.pitch import f0_correlation

RATE, HOP = 16_000, 160


@pytest.fixture
def said(speak):
    """A sentence of a synthetic voice at 16 kHz, float32 [T]."""
    return resample(speak(SENTENCES[5])[None], SAMPLE_RATE, RATE)[0]


@pytest.fixture
def shuffled(said):
    """The sentence in quarters of a second, in another order: nobody's words."""
    parts = np.array_split(said, len(said) * 4 // RATE)
    return np.concatenate([parts[place] for place in np.random.default_rng(0).permutation(len(parts))])


def f0(judge, wav):
    (track,) = judge.track(wav[None], RATE)
    return np.where(track.voiced, track.hz, 0)


def hum(hz):
    """Harmonics at a pitch every 10 ms, nothing where it is 0, float32 [T] at 16 kHz."""
    phase, loud = 2 * np.pi * np.cumsum(np.repeat(hz, HOP)) / RATE, np.repeat(hz > 0, HOP)
    return (0.05 * loud * sum(np.sin(order * phase) / order for order in range(1, 9))).astype(np.float32)


def test_a_hum_has_the_melody_for_crepe_and_no_words_for_whisper(named, said):
    judge = named("pitch")
    source = f0(judge, said)
    hummed = hum(source)
    assert f0_correlation(f0(judge, hummed)[: len(source)], source) > 0.7
    heard = named("words").transcripts([said, hummed], RATE)
    assert heard[0] and (not heard[1] or word_error(heard[0], heard[1]) > 0.7)


def test_shuffled_speech_is_one_voice_for_resemblyzer_and_good_for_dnsmos_and_other_words(named, said, shuffled):
    assert named("speaker").compare([said], [shuffled], RATE).values["speaker_similarity"][0] > 0.8
    whole, parts = named("quality").overall([said, shuffled], RATE)
    assert parts > whole - 0.5
    heard = named("words").transcripts([said, shuffled], RATE)
    assert word_error(*heard) > 0.7 if heard[1] else heard[0]


def test_visqol_does_not_hear_how_loud_a_copy_is_or_its_sign(named, said):
    copies = np.stack([said, np.float32(0.1) * said, -said])
    scores = named("similarity").compare(np.stack([said] * 3), copies, RATE).values
    np.testing.assert_allclose(scores["visqol_audio"], scores["visqol_audio"][0], atol=0.01)
