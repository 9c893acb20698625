"""Section ``voice.health``."""

from __future__ import annotations

from pydantic import Field

from soundgate.runtime.config import Section
from soundgate.tracks.voice.gan.settings import TrainSettings
from soundgate.tracks.voice.speaker.settings import SpeakerSettings
from soundgate.training.health.settings import HealthSettings


class TrialSettings(Section):
    """How trainings of one architecture are tried.

    Args:
        interval: steps between checks, in place of ``health.interval``.
        batch_size: items a step.
        before: checks before a fault comes, in trainings into which one comes.
        after: checks within which a fault is to be found.
        healthy: checks of trainings without a fault.
        n_healthy: trainings without a fault.
        settled: in place of ``health.settled``; more than ``healthy``: in trainings this short no voice is learnt.
    """

    interval: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    before: int = Field(ge=1)
    after: int = Field(ge=1)
    healthy: int = Field(ge=1)
    n_healthy: int = Field(ge=1)
    settled: int = Field(ge=1)

    def watched(self, health: HealthSettings) -> HealthSettings:
        """Return the monitor's settings in these trainings."""
        own = {"interval": self.interval, "settled": self.settled, "least_checks": 1, "enabled": True}
        return health.model_copy(update=own)


class FaultSettings(Section):
    """How the health monitor is put to the test.

    Args:
        train: the GAN, as small as it can be.
        encoder: the speaker encoder, likewise; its ``loop`` is not used.
        learning_rate: of the regression.
        gan: see `TrialSettings`.
        speaker: of the encoder.
        regression: see `TrialSettings`.
        n_trials: trainings of each held-out fault at each strength in each architecture.
    """

    train: TrainSettings
    encoder: SpeakerSettings
    learning_rate: float = Field(gt=0)
    gan: TrialSettings
    speaker: TrialSettings
    regression: TrialSettings
    n_trials: int = Field(ge=1)

    def trial(self, architecture: str) -> TrialSettings:
        """Return how trainings of an architecture are tried."""
        return {"gan": self.gan, "encoder": self.speaker, "regression": self.regression}[architecture]

    def n_steps(self, architecture: str) -> int:
        """Return the steps that an architecture's schedules are made for: those of its longest training."""
        own = self.trial(architecture)
        return max(own.before + own.after, own.healthy) * own.interval
