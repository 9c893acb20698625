"""Proximal policy optimisation of an edit's labels."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from soundgate.runtime.errors import TrainingError
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.editor.cache import PairCache
from soundgate.tracks.editor.policy.controls import controls
from soundgate.tracks.editor.policy.model import EditPredictor, ValueNetwork
from soundgate.tracks.editor.policy.rollout import Rollout, decision_values, distribution, log_probabilities, roll_out
from soundgate.tracks.editor.policy.scoring import (
    KEEP,
    ORACLE,
    Method,
    baselines,
    by_policy,
    judge_reward,
    score_split,
    summarise_labels,
    summarise_rewards,
)
from soundgate.tracks.editor.policy.settings import PolicySettings
from soundgate.tracks.editor.reconstruct.model import Reconstruction
from soundgate.tracks.editor.windows import draw_batch
from soundgate.training.averaging import follow
from soundgate.training.finite import require_finite
from soundgate.training.health.settings import HealthSettings
from soundgate.training.learner import Learner
from soundgate.training.loop import fit
from soundgate.training.optimisers import adamw

STAGE = "editor-policy"
# A policy that is asked twice the same must say the same.
_FIRST_RATIO = 1e-4
# Beyond e^20 a ratio tells nothing more, and float32 soon has no number for it.
_LARGEST_LOG_RATIO = 20.0


class Frozen(NamedTuple):
    """What PPO looks at and does not change; both models on the device.

    Args:
        cache: its train rows are the items.
        imitation: where the policy begins.
        reconstruction: phase 1's model, frozen.
    """

    cache: PairCache
    imitation: EditPredictor
    reconstruction: Reconstruction


class PpoTask:
    """A step: labels of a window of each recording are drawn and judged, and both networks learn from it.

    Source: Schulman et al. 2017, "Proximal policy optimization algorithms", eq. 7 and 9.
    Differs: policy and value network share nothing and have their gradients clipped apart; ratio and reward are a
        beat's by default, see `PpoSettings`. What is kept is an average over batches, not the epoch that is best on
        the validation pairs: they are so few that this picked luck.

    Args:
        frozen: see `Frozen`.
        settings: see `PolicySettings`.
        seed: of the value network's weights.
        n_steps: of the whole training, for the entropy's decay.
    """

    def __init__(self, frozen: Frozen, settings: PolicySettings, seed: int, n_steps: int) -> None:
        self.frozen, self.settings, self.n_steps = frozen, settings, n_steps
        self.rows, self.held_out = frozen.cache.rows("train"), frozen.cache.rows("validation")
        self.device = next(frozen.imitation.parameters()).device
        torch.manual_seed(keyed_seed(seed, STAGE, "weights"))
        self.policy = copy.deepcopy(frozen.imitation).requires_grad_(True).eval()
        self.value = ValueNetwork(settings.network, frozen.cache.settings.n_mels).to(self.device).eval()
        self.value.encoder.set_scale(self.policy.encoder.centre, self.policy.encoder.spread)
        rate, learning = settings.ppo.learning_rate, {"policy": self.policy, "value": self.value}
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            name: adamw(module.parameters(), rate, eps=1e-5) for name, module in learning.items()
        }
        self.learners = {name: Learner(own, settings.ppo.max_grad_norm) for name, own in self.optimisers.items()}
        self.average = copy.deepcopy(self.policy).requires_grad_(False)
        self.modules: dict[str, nn.Module] = learning | {"average": self.average}
        others = {"imitation": by_policy(frozen.imitation)} | baselines(frozen.cache)
        self.known = self._scored({name: others[name] for name in ("imitation", KEEP, ORACLE)})

    def step(self, items: np.ndarray, step: int) -> dict[str, float]:
        """Roll out on a window of each item and learn from it.

        Raises:
            NonFiniteBatch: the recordings, a loss or a gradient is not finite.
            TrainingError: the policy's first answer differs from the one labels were drawn by.
        """
        ppo, weights = self.settings.ppo, self.settings.reward
        batch = draw_batch(self.frozen.cache, self.rows[items], self.settings.network.n_frames, None).to(self.device)
        require_finite({"batch": batch.raw.sum()})
        rollout = roll_out(batch, self.policy, self.value, self.frozen.reconstruction, ppo, weights)
        logged = {"reward": float(rollout.parts.total(weights).mean())}
        logged |= {f"reward_{name}": float(part.mean()) for name, part in rollout.parts._asdict().items()}
        if step >= ppo.value_warmup:
            logged |= self._learn_policy(rollout, ppo.entropy * (1 - step / self.n_steps))
            follow(self.average, self.policy, ppo.average)
        return logged | self._learn_value(rollout)

    def evaluate(self) -> dict[str, float]:
        """Return the validation pairs' mean reward without label bonus, beside those of imitation, KEEP and truth.

        ``policy`` is the averaged one, ``last`` what the last step left.
        """
        return self._scored({"policy": by_policy(self.average), "last": by_policy(self.policy)}) | self.known

    def _scored(self, methods: dict[str, Method]) -> dict[str, float]:
        """Return each method's mean reward on the validation pairs, nothing where there are none."""
        if not len(self.held_out):
            return {}
        judge = judge_reward(self.frozen.reconstruction, self.settings.reward)
        table = score_split(self.frozen.cache, self.held_out, methods, judge)
        return {f"validation_{name}": float(own.mean()) for name, own in table.groupby("method")["reward"]}

    def _learn_policy(self, rollout: Rollout, entropy_weight: float) -> dict[str, float]:
        """Take up to ``n_epochs`` clipped steps on one batch."""
        ppo, mask, logged = self.settings.ppo, rollout.mask, {}
        for epoch in range(ppo.n_epochs):
            thoughts = distribution(self.policy, rollout.batch)
            known = log_probabilities(thoughts, rollout.labels, rollout.batch.beat_mask, ppo)
            log_ratio = (known - rollout.log_probs)[mask].clamp(max=_LARGEST_LOG_RATIO)
            ratio = log_ratio.exp()
            kl = float((ratio - 1 - log_ratio).mean().detach())
            if epoch == 0:
                _refuse_other_answers(ratio)
            elif ppo.kl_stop and kl > ppo.kl_stop:
                break
            loss = clipped_loss(ratio, rollout.advantages[mask], ppo.clip)
            entropy = thoughts.entropy()[rollout.batch.beat_mask].mean()
            self.learners["policy"].descend({"loss": loss - entropy_weight * entropy})
            logged = {
                "policy_loss": float(loss.detach()),
                "entropy": float(entropy.detach()),
                "kl": kl,
                "ratio_mean": float(ratio.mean().detach()),
                "log_ratio_largest": float(log_ratio.abs().max().detach()),
                "clipped": float(((ratio - 1).abs() > ppo.clip).float().mean()),
                "updates": epoch + 1.0,
            }
        return logged

    def _learn_value(self, rollout: Rollout) -> dict[str, float]:
        loss = torch.zeros(())
        for _ in range(self.settings.ppo.n_epochs):
            values = decision_values(self.value, rollout.batch, self.settings.ppo)
            loss = functional.mse_loss(values[rollout.mask], rollout.returns[rollout.mask])
            self.learners["value"].descend({"loss": self.settings.ppo.value * loss})
        return {"value_loss": float(loss.detach())}


def clipped_loss(ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """Return minus the mean of the smaller of two gains: at the ratio, and at the ratio kept within 1 ± clip.

    Source: Schulman et al. 2017, eq. 7.
    """
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


def _refuse_other_answers(ratio: Tensor) -> None:
    away = float((ratio - 1).abs().max().detach())
    if not away <= _FIRST_RATIO:
        raise TrainingError(
            STAGE,
            expected="a ratio of 1 before the first update",
            found=f"one that is {away:.3g} away",
            remedy="The policy must be in evaluation mode, and see the batch that labels were drawn on.",
        )


def train_policy(
    frozen: Frozen,
    settings: PolicySettings,
    seed: int,
    checkpoint: Path,
    health: HealthSettings | None = None,
) -> tuple[EditPredictor, list[dict]]:
    """Improve the imitating policy on the train pairs, going on from the checkpoint where there is one.

    Returns:
        The policy, its weights averaged over the last batches, frozen and in evaluation mode; and one row of figures
        for each epoch.

    Raises:
        TrainingError: no train pairs, a first ratio that is not 1, or figures that are not finite.
    """
    n_items = len(frozen.cache.rows("train"))
    if not n_items:
        raise TrainingError(STAGE, expected="train pairs", found="none")
    loop = settings.ppo.loop
    task = PpoTask(frozen, settings, seed, loop.n_steps(n_items))
    history = fit(task, loop, n_items, seed=seed, name=STAGE, checkpoint=checkpoint, health=health)
    return task.average.eval(), history


def measure_policy(frozen: Frozen, policy: EditPredictor, settings: PolicySettings, seed: int) -> dict:
    """Return what `summarise_labels` and `summarise_rewards` say of policy, imitation and all else, on test pairs.

    All else: `baselines` and `controls`.

    Raises:
        TrainingError: no test pairs.
    """
    rows = frozen.cache.rows("test")
    if not len(rows):
        raise TrainingError(STAGE, expected="test pairs", found="none")
    methods = {"policy": by_policy(policy), "imitation": by_policy(frozen.imitation)} | baselines(frozen.cache)
    methods |= controls(frozen.cache, policy, frozen.imitation)
    table = score_split(frozen.cache, rows, methods, judge_reward(frozen.reconstruction, settings.reward))
    labels = summarise_labels(table, STAGE, seed, settings.n_bootstrap)
    rewards = summarise_rewards(table, STAGE, seed, settings.n_bootstrap)
    return {method: labels[method] | rewards[method] for method in methods}
