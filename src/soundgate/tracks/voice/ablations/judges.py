"""Whether the judges hear, on real recordings, what an endpoint asks them: before any arm is judged by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from soundgate.tracks.voice.ablations.settings import ComparisonSettings


class Check(NamedTuple):
    """What a judge must hear, as the audit's metrics name it.

    Args:
        split: of speakers.
        system: made of real recordings alone.
        figure: that tells it.
        chance: what a judge that hears nothing gives; the lower end of the figure's interval must exceed it.
    """

    split: str
    system: str
    figure: str
    chance: float


# A real utterance of the target is closer to the target than to the source; the source has its own words.
VOICE_CHECKS = {
    "similarity_to_target": Check("test", "target_utterance", "closer", 0.5),
    "content_agreement": Check("test", "identity", "content_margin", 0.0),
}


def judges_hear(audit: Mapping, checks: Mapping[str, Check]) -> dict[str, dict]:
    """Return of each measure with a check what its judge gives for real recordings, and whether it hears.

    Args:
        audit: metrics of the stage that scores.
        checks: by measure.

    Returns:
        By measure the audit's estimate (``value``, ``ci_low``, ``ci_high``, ``n``) and ``hears``.
    """
    found = {}
    for measure, check in checks.items():
        estimate = audit["systems"][check.split][check.system][check.figure]
        low = estimate["ci_low"]
        found[measure] = dict(estimate) | {"hears": low is not None and low > check.chance}
    return found


def deaf_judges(settings: ComparisonSettings, runs: pd.DataFrame) -> dict[str, str]:
    """Return the endpoints that cannot be judged, each with the reason.

    Args:
        settings: see `ComparisonSettings`.
        runs: see `Collected`; ``judges`` holds what `judges_hear` said at each run.
    """
    cards = runs["judges"] if "judges" in runs else [None] * len(runs)
    reasons = {}
    for endpoint in settings.endpoints:
        said = [card.get(endpoint) if isinstance(card, Mapping) else None for card in cards]
        if not all(said):
            reasons[endpoint] = "not every run says whether its judge hears real recordings"
        elif not all(own["hears"] for own in said):
            reasons[endpoint] = "its judge does not hear the difference between real recordings"
    return reasons
