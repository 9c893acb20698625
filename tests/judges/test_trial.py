"""The trial of the judges: what hears is told from what is deaf."""

import numpy as np
import pytest

from soundgate.evaluation.statistics import Estimate
from soundgate.judges.pitch import PitchJudge, PitchTrack
from soundgate.judges.speaker import SpeakerJudge
from soundgate.judges.trial.questions import Question, Recording, mean_by_group
from soundgate.judges.trial.recorded import MANY, SPEAKERS
from soundgate.judges.trial.run import Answer, try_judges
from soundgate.runtime.errors import ConfigError


def answer(better, estimate, twin, chance=float("nan")):
    question = Question("key", "text", "unit", better, chance, lambda *_: {})
    return Answer("judge", question, Estimate(*estimate, 5), twin)


@pytest.mark.parametrize(
    ("better", "estimate", "twin", "chance", "deaf"),
    [
        ("higher", (0.9, 0.8, 1.0), 0.5, 0.0, False),
        ("higher", (0.9, 0.4, 1.0), 0.5, 0.0, True),
        ("higher", (0.9, 0.8, 1.0), 0.5, 0.85, True),
        ("lower", (0.1, 0.0, 0.2), 0.5, 0.5, False),
        ("lower", (0.1, 0.0, 0.2), 0.15, 0.5, True),
        ("lower", (0.1, 0.0, 0.2), 0.5, float("nan"), False),
        ("higher", (0.9, float("nan"), float("nan")), 0.5, 0.0, True),
    ],
)
def test_a_judge_is_deaf_where_its_interval_reaches_twin_or_chance(better, estimate, twin, chance, deaf):
    found = answer(better, estimate, twin, chance)
    assert found.deaf is deaf and found.as_dict()["deaf"] is deaf


def test_a_twin_that_hears_as_well_makes_the_judge_deaf():
    assert answer("higher", (0.9, 0.8, 1.0), 0.9).deaf


def test_agreement_of_a_few_has_an_interval():
    found = mean_by_group([1.0] * 6, ["a", "b", "c"] * 2, -1, 1)
    assert found.value == 1 and -0.5 < found.ci_low < 0.5 and found.ci_high == pytest.approx(1) and found.n == 3
    spread = mean_by_group([0.9, 1.0, 0.8, 1.0], ["a", "b", "c", "d"], 0, 1)
    assert spread.ci_low < 0.925 < spread.ci_high == 1


class Oracle(SpeakerJudge):
    """Knows speakers by a constant that their signals hold, or knows nothing."""

    def __init__(self, knows):
        self.knows = knows

    def embed(self, wav, sample_rate):
        vector = np.random.default_rng(int(wav[0, 0]) if self.knows else int(1e6 * wav[0, 1])).standard_normal(256)
        return (vector / np.linalg.norm(vector))[None].astype(np.float32)


@pytest.mark.parametrize("knows", [True, False])
def test_the_error_of_a_judge_that_knows_is_zero_and_of_one_that_guesses_a_half(knows):
    recordings = [
        Recording(f"{speaker}-{clip}", str(speaker), np.array([speaker, clip / 10 + speaker], np.float32), 16_000)
        for speaker in range(8)
        for clip in range(MANY + 1)
    ]
    found = SPEAKERS.measure([Oracle(knows)], recordings)[0]["eer"]
    assert found.n == 8 and (found.value == 0 if knows else 0.35 < found.value < 0.65)


def test_without_recordings_only_generated_signals_are_asked_of(monkeypatch):
    true = np.full(101, 440.0)
    track = PitchTrack(true, np.ones(101), np.ones(101, bool))
    monkeypatch.setattr(PitchJudge, "track", lambda self, wav, rate: [track])
    answers = list(try_judges(["pitch", "speaker"], []))
    assert [one.question.key for one in answers] == ["pitch"]
    assert answers[0].deaf and answers[0].estimate.value == answers[0].twin


def test_an_unknown_judge_is_refused():
    with pytest.raises(ConfigError):
        list(try_judges(["taste"], []))
