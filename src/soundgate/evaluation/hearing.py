"""Whether a judge hears on a corpus what it is asked about."""

from __future__ import annotations

from soundgate.evaluation.statistics import Estimate


def answer(asked: str, estimate: Estimate, twin: float | None = None, chance: float = 0.0) -> dict:
    """Return a judge's answer to a question whose answer is known.

    Args:
        asked: what, as a report says it.
        estimate: the answer, more of which is better.
        twin: that of a judge of the same shape whose weights know nothing; None where there is no such judge.
        chance: what guessing gives.

    Returns:
        ``asked``; ``value``, ``ci_low``, ``ci_high``, ``n``; ``chance``; ``twin``; and ``deaf``: the interval does not
        lie above both chance and twin.
    """
    hears = all(estimate.ci_low > opponent for opponent in (chance, twin) if opponent is not None)
    return {"asked": asked} | estimate.as_dict() | {"chance": chance, "twin": twin, "deaf": not hears}
