"""What the health monitor watches for, and how strictly."""

from __future__ import annotations

import math
import os

from pydantic import Field

from soundgate.runtime.config import Section, load_section
from soundgate.runtime.errors import ConfigError

# The share of a training after which what it is for is expected.
_SETTLED = 0.8
INTERVAL_VARIABLE = "SOUNDGATE_DIAGNOSTICS_INTERVAL"


class Thresholds(Section):
    """From where on a figure is an alarm.

    Args:
        z: robust deviations from the median of the trailing window; what is judged against the window has to be
            this far away and by the factor below.
        loss: factor by which a loss has risen.
        gradient: factor by which a gradient's norm has risen; its square is critical.
        update: factor by which the update ratio has risen.
        frozen: update ratio, change of the weights over their norm, below which a network does not learn.
        halted: factor of its median below which the update ratio is that of a network which learns no more.
        climbing: standard errors by which a loss's mean change by a step on its own batch is above 0.
        vanished: norm below which a gradient is none.
        dominated: factor of its median below which the discriminator's loss is low.
        dominance_z: robust deviations, for both of the two losses that must part.
        collapse: factor of its median below which the outputs' pairwise distance, over that of real ones, is low.
        collapsed: the same ratio below which outputs are all one, whatever the median.
        detached: factor of its median below which the output no longer changes with the speaker.
        never_attached: relative change of the output below which it does not depend on the speaker at all.
        similarity: cosine of output and target speaker below which the voice is not the target's.
        slow: update ratio below which a rate is too small, where none was above it yet.
        fast: update ratio above which it is too large.
        clipped: share of the gradient's norm that clipping leaves, below which it leaves nothing.
        shrinking: cosine of a step with weights that shrink above which decay outweighs what is learnt.
        spread: share of the output's variance between items below which the output is one for all.
        copies: share of a batch's items that are copies of others.
        silence: share of frames that are silent.
        mute: share of items that are silent.
        peaks: share of samples at an item's peak.
        offset: mean of the sound over its level.
        bandwidth: share of half the sample rate below which nearly all energy lies.
        labels: share of pairs of one label that are nearer than pairs of two, below which labels are wrong.
        targets: share of outputs that are nearer to their target than to another's, likewise.
    """

    z: float = Field(gt=0)
    loss: float = Field(gt=1)
    gradient: float = Field(gt=1)
    update: float = Field(gt=1)
    frozen: float = Field(ge=0)
    halted: float = Field(gt=0, lt=1)
    climbing: float = Field(gt=0)
    vanished: float = Field(ge=0)
    dominated: float = Field(gt=0, lt=1)
    dominance_z: float = Field(gt=0)
    collapse: float = Field(gt=0, lt=1)
    collapsed: float = Field(ge=0, lt=1)
    detached: float = Field(gt=0, lt=1)
    never_attached: float = Field(ge=0, lt=1)
    similarity: float = Field(ge=-1, le=1)
    slow: float = Field(ge=0)
    fast: float = Field(gt=0)
    clipped: float = Field(ge=0, le=1)
    shrinking: float = Field(gt=0, le=1)
    spread: float = Field(ge=0, le=1)
    copies: float = Field(gt=0, le=1)
    silence: float = Field(gt=0, le=1)
    mute: float = Field(gt=0, le=1)
    peaks: float = Field(gt=0, le=1)
    offset: float = Field(gt=0)
    bandwidth: float = Field(ge=0, le=1)
    labels: float = Field(ge=0, le=1)
    targets: float = Field(ge=0, le=1)


class HealthSettings(Section):
    """Section ``health``: it changes no result, so no stage that trains lists it among its parameters.

    Args:
        enabled: whether trainings are watched.
        interval: steps from one check to the next, at most.
        least_checks: checks that a training has at least, as far as it has steps: a short one's interval is shorter.
        window: checks that a figure is judged against: those before the last ``sustained``, or before what has gone on
            for longer, up to half a window.
        least: checks the window must hold before anything is judged against it, and over which what scatters from
            batch to batch is judged.
        sustained: checks in a row that must be off before it is an alarm; what is not finite is one at once.
        settled: checks in a row after which what should have been learnt by then (a voice, a distance between
            outputs) is an alarm; four fifths of a training's checks where those are more.
        climbing: checks over which it is judged whether steps raise a loss on their own batch.
        thresholds: see `Thresholds`.
    """

    enabled: bool
    interval: int = Field(ge=1)
    least_checks: int = Field(ge=1)
    window: int = Field(ge=4)
    least: int = Field(ge=4)
    sustained: int = Field(ge=1)
    settled: int = Field(ge=1)
    climbing: int = Field(ge=1)
    thresholds: Thresholds

    @property
    def n_kept(self) -> int:
        """Checks that any rule looks back on."""
        return max(self.window + max(self.sustained, self.window // 2), self.settled, self.climbing)

    def of_length(self, n_steps: int) -> HealthSettings:
        """Return the settings of a training of so many steps: interval and ``settled`` follow its length."""
        interval = max(1, min(self.interval, n_steps // self.least_checks))
        settled = max(self.settled, math.ceil(_SETTLED * n_steps / interval))
        return self.model_copy(update={"interval": interval, "settled": settled})


def load_health() -> HealthSettings:
    """Read the section ``health``; ``SOUNDGATE_DIAGNOSTICS_INTERVAL`` overrides its interval, 0 switches it off.

    Raises:
        ConfigError: the section is missing or wrong, or the variable is not a whole number of at least 0.
    """
    settings = load_section("health", HealthSettings)
    text = os.environ.get(INTERVAL_VARIABLE)
    if text is None:
        return settings
    if not text.isdigit():
        raise ConfigError(INTERVAL_VARIABLE, expected="a whole number of at least 0", found=repr(text))
    interval = int(text)
    # What is asked for is not shortened.
    changes = {"interval": interval, "least_checks": 1} if interval else {"enabled": False}
    return settings.model_copy(update=changes)
