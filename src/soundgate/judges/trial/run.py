"""Every judge tried on a corpus and on generated signals, with an interval, beside its twin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from soundgate.evaluation.statistics import Estimate
from soundgate.judges.base import Judge
from soundgate.judges.registry import load_judge
from soundgate.judges.trial import generated, recorded
from soundgate.judges.trial.questions import Question, Recording

QUESTIONS: dict[str, tuple[Question, ...]] = {
    "speaker": (recorded.SPEAKERS,),
    "quality": recorded.QUALITY,
    "pitch": (generated.PITCH, recorded.SPEED),
    "notes": (generated.NOTES,),
    "words": (generated.WORDS, recorded.REPEATED_WORDS),
    "similarity": recorded.SIMILARITY,
}


@dataclass(frozen=True)
class Answer:
    """How a judge did on one question.

    Attributes:
        judge: its name.
        question: what was asked.
        estimate: the statistic with its 95 % interval over independent units.
        twin: the same of judges whose weights know nothing, the mean of all; NaN where no weight has a part in it.
    """

    judge: str
    question: Question
    estimate: Estimate
    twin: float

    @property
    def deaf(self) -> bool:
        """Say whether the interval's worse end is not better than the twin, or than chance."""
        opponents = [value for value in (self.twin, self.question.chance) if np.isfinite(value)]
        if self.question.better == "higher":
            return not self.estimate.ci_low > max(opponents)
        return not self.estimate.ci_high < min(opponents)

    def as_dict(self) -> dict[str, object]:
        """Return the answer for JSON."""
        asked = self.question
        known = {"judge": self.judge, "question": asked.text, "better": asked.better, "unit": asked.unit}
        opponents = {"twin": self.twin, "chance": asked.chance}
        finite = {name: value if np.isfinite(value) else None for name, value in opponents.items()}
        return known | self.estimate.as_dict() | finite | {"deaf": self.deaf}


def try_judges(names: Sequence[str], recordings: Sequence[Recording]) -> Iterator[Answer]:
    """Ask judges the questions of ``QUESTIONS`` and yield their answers one by one.

    Args:
        names: of judges.
        recordings: real speech; without any, only what is asked of generated signals is.

    Raises:
        ConfigError: an unknown judge.
        WeightsError: see `load_judge`.
    """
    for name in names:
        judge = load_judge(name)
        twins: list[Judge] = [judge.twin(seed) for seed in range(judge.n_twins)]
        for questions in _by_measure(QUESTIONS[name]):
            if questions[0].needs_recordings and not recordings:
                continue
            own, *others = questions[0].measure([judge, *twins], recordings)
            for question in questions:
                twin = float(np.mean([other[question.key].value for other in others]))
                yield Answer(name, question, own[question.key], twin)


def _by_measure(questions: Sequence[Question]) -> list[list[Question]]:
    """Return questions in groups that one measurement answers."""
    groups: dict[object, list[Question]] = {}
    for question in questions:
        groups.setdefault(question.measure, []).append(question)
    return list(groups.values())
