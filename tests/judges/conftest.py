from functools import cache

import numpy as np
import pytest

from soundgate.corpora.espeak import SAMPLE_RATE, Voice, synthesise
from soundgate.judges.registry import JUDGE_NAMES, load_judge

loaded = cache(load_judge)


@pytest.fixture(params=JUDGE_NAMES)
def judge(request):
    return loaded(request.param)


@pytest.fixture
def named():
    return loaded


@cache
def spoken(text, voice="en-us+m3", pitch=45):
    samples = synthesise(text, Voice(voice=voice, pitch=pitch, pitch_range=50, rate_wpm=140), 0)
    return samples.astype(np.float32) / 2**15


@pytest.fixture
def speak():
    return spoken


@pytest.fixture
def speech():
    """Two seconds of a synthetic voice at 22,050 Hz, float32 [T]."""
    return spoken("the box was thrown beside the parked truck")[: 2 * SAMPLE_RATE]


@pytest.fixture
def ask():
    """Ask a judge about signals: beside themselves, where it only compares."""

    def asked(judge, wavs, rate=SAMPLE_RATE):
        return judge.score(wavs, rate) if judge.figures else judge.compare(wavs, wavs, rate)

    return asked
