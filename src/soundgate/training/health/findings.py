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
    "slow": "Weights hardly move: raise the learning rate, or look at its schedule and at a factor before the loss.",
    "clipping": "Hardly anything of the gradient is left: raise the norm that it is clipped to.",
    "decay": "Steps shrink the weights more than they teach them: lower the weight decay.",
    "climbing": "Steps raise this loss on the batch they are computed from: look at its sign, at losses that pull "
    "against it, and at the learning rate.",
    "constant": "The output is the same for all items: look at what reaches the network, at its last layers, and at a "
    "loss that a mean satisfies.",
    "mode": "Call train() before the step: an evaluation has left the network in evaluation mode.",
    "detached": "The generator learns nothing from the discriminator: look for detach() or no_grad() before it.",
    "repeating": "The same data come again and again: look at the sampler, its seed and the loader's workers.",
    "copies": "Items of a batch are copies: look at how the batch is put together.",
    "silence": "Much of the sound is silent: look at cuts, padding, gain and files that could not be read.",
    "peaks": "The sound is clipped: look at gain, at integers taken for another width, and at the recordings.",
    "offset": "The sound is shifted: look at its decoding, signed or unsigned, and filter what is below 20 Hz.",
    "bandwidth": "The sound lacks the upper part of its band: look at the sample rate it really has.",
    "labels": "Labels do not fit the items: look at how both are sorted, shuffled and joined.",
    "targets": "Outputs do not fit their targets: look at how pairs are made, shuffled and shifted.",
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
