"""What a check finds: a rule that fired, how bad it is, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

Status = Literal["healthy", "warning", "critical"]
LEVELS: tuple[Status, ...] = ("healthy", "warning", "critical")

# By rule; those of discriminator, collapse, losses and speaker are the seed document's.
REMEDIES = {
    "non_finite": "Look at the batch and its item; lower the learning rate, clip gradients, or train without bf16.",
    "exploding": "Lower the learning rate or the gradient clip; look at what the last batches have in common.",
    "vanished": "Nothing reaches this network: look for a detached output, a saturated activation or a weight of 0.",
    "frozen": "The network does not learn: look at its learning rate, its optimiser's parameters and requires_grad.",
    "rate": "Weights change far faster than before: look at the learning rate and its schedule.",
    "diverging": "Lower the learning rate; adjust the loss weights so that no term outweighs the others.",
    "dominance": "The discriminator is too strong: lower its learning rate, raise its gradient penalty, or lower the "
    "adversarial weight.",
    "collapse": "Mode collapse: raise the discriminator's gradient penalty; raise the reconstruction weight.",
    "conditioning": "The output does not depend on the speaker: raise the contrastive weight, look at how the speaker "
    "embedding is used (FiLM too weak?), try cross-attention conditioning.",
    "similarity": "Speaker similarity is low: raise the contrastive weight, unfreeze the speaker encoder, try "
    "cross-attention conditioning.",
}  # fmt: skip


class Finding(NamedTuple):
    """A rule that fired.

    Args:
        rule: a key of ``REMEDIES``.
        level: ``warning`` or ``critical``.
        subject: the network, loss or figure it is about.
        reason: what was seen, in one line.
    """

    rule: str
    level: Status
    subject: str
    reason: str

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return REMEDIES[self.rule]


def worst(findings: Iterable[Finding]) -> Status:
    """Return the status that findings make: the worst of their levels, ``healthy`` where there are none."""
    return max((finding.level for finding in findings), key=LEVELS.index, default="healthy")
