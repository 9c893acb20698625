"""The two stages of the mel path: the sample itself, then its music in other styles."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from accelerate.utils import send_to_device
from torch import Tensor

from soundgate.tracks.transfer.adversarial_task import Networks, mixing, other_genres
from soundgate.tracks.transfer.augment import rerecord
from soundgate.tracks.transfer.content.model import Analysis
from soundgate.tracks.transfer.continuity import mel_continuity
from soundgate.tracks.transfer.mel.losses import band_loss, band_statistics, content_loss, flatness_loss, style_loss
from soundgate.tracks.transfer.mel.settings import MelTransferSettings
from soundgate.tracks.transfer.mel.task import STAGE, Frozen, MelTask
from soundgate.training.adversarial import feature_matching, hinge_generator, moment_matching, set_trainable

_STATISTICS_BATCH = 128


class _Samples(NamedTuple):
    """One batch of stage 1: spectrograms and their own target vectors."""

    mels: Tensor
    targets: Tensor


class IdentityTask(MelTask):
    """Stage 1: reconstruct each sample from its content and its own target vector."""

    name = f"{STAGE} stage1"

    def __init__(
        self, frozen: Frozen, networks: Networks, settings: MelTransferSettings, seed: int, n_steps: int
    ) -> None:
        super().__init__(frozen, networks, settings, settings.stage1, seed, n_steps)

    def evaluation_targets(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows' own targets."""
        return self.frozen.targets.targets[rows]

    def draw(self, items: np.ndarray, step: int) -> _Samples:
        """Draw a crop of each sample."""
        rows = self.rows[items]
        return _Samples(self.crops(rows, self.draws(step)), torch.from_numpy(self.frozen.targets.targets[rows]))

    def learn(self, batch: _Samples, step: int) -> dict[str, float]:
        """Take one step of the critic and one of the generator."""
        self.set_rates(step)
        mels, targets = send_to_device(batch, self.frozen.device, non_blocking=True)
        source = self._source(mels)
        made = self.networks.generator(source.content, source.sequence, targets)
        judged = self.update_critic(mels, targets, made.detach(), targets, step)
        return judged | self.update_generator(self._losses(mels, made, source, targets, step))

    def _source(self, mels: Tensor) -> Analysis:
        """Analyse the samples, some of them as another chain would have recorded them."""
        n_changed = round(self.settings.stage1.rerecorded_share * len(mels))
        with torch.no_grad():
            heard = torch.cat([rerecord(mels[:n_changed]), mels[n_changed:]]) if n_changed else mels
            return self.frozen.content(heard)

    def _losses(self, mels: Tensor, made: Tensor, source: Analysis, targets: Tensor, step: int) -> dict[str, Tensor]:
        weights, settings = self.weights, self.settings.stage1
        losses = {"l1": (made - mels).abs().mean()} if weights["l1"] else {}
        # From the end: the first of the batch were heard re-recorded.
        looked = slice(-max(1, round(settings.analysis_share * len(mels))), None)
        if weights["content"] or weights["style"]:
            analysis = self.frozen.content(made[looked])
            if weights["content"]:
                losses["content"] = content_loss(analysis, Analysis(*(values[looked] for values in source)))
            if weights["style"]:
                losses["style"] = style_loss(self.project(analysis, made[looked]), targets[looked])
        if weights["continuity"]:
            watched = slice(max(1, round(settings.continuity_share * len(mels))))
            losses["continuity"] = mel_continuity(made[watched], mels[watched]).mean()
        if self.plays(step):
            set_trainable(self.networks.critic, False)
            verdict = self.networks.critic(made, targets)
            losses["adversarial"] = hinge_generator(verdict.logits)
            if weights["feature_matching"]:
                with torch.no_grad():
                    real = self.networks.critic(mels, targets)
                losses["feature_matching"] = feature_matching(real.features, verdict.features)
        return losses


class _Shift(NamedTuple):
    """One batch of stage 2: sources, their own targets, the genres to take on, and real items of these genres."""

    mels: Tensor
    own: Tensor
    genres: Tensor
    condition: Tensor
    real: Tensor


class TransferTask(MelTask):
    """Stage 2: the music of each sample in the style of another genre, for which there is no pair to compare with."""

    name = f"{STAGE} stage2"

    def __init__(
        self, frozen: Frozen, networks: Networks, settings: MelTransferSettings, seed: int, n_steps: int
    ) -> None:
        super().__init__(frozen, networks, settings, settings.stage2, seed, n_steps)
        parts = [np.array_split(rows, -(-len(rows) // _STATISTICS_BATCH)) for rows in frozen.targets.train_rows]
        self.statistics = torch.stack([
            torch.cat([band_statistics(frozen.cache.batch(part)) for part in own]).mean(dim=0) for own in parts
        ]).to(frozen.device)  # fmt: skip

    def evaluation_targets(self, rows: np.ndarray) -> np.ndarray:
        """Return centroids of genres that the rows do not have, in turn."""
        return self.frozen.targets.centroids[self._other_genres(rows, 0)]

    def draw(self, items: np.ndarray, step: int) -> _Shift:
        """Draw a crop of each sample, another genre for it, and a real item of that."""
        generator, targets, settings = self.draws(step), self.frozen.targets, self.settings.stage2
        rows = self.rows[items]
        mels, genres = self.crops(rows, generator), self._other_genres(rows, step)
        alpha = mixing(settings.alpha, step, self.n_steps)
        condition = targets.condition(settings.mode, genres, alpha, generator)
        real = self.crops(np.array([generator.choice(targets.train_rows[code]) for code in genres]), generator)
        vectors = (torch.from_numpy(values) for values in (targets.targets[rows], genres, condition))
        return _Shift(mels, *vectors, real)

    def learn(self, batch: _Shift, step: int) -> dict[str, float]:
        """Take one step of the critic, where it is its turn, and one of the generator."""
        self.set_rates(step)
        shift = send_to_device(batch, self.frozen.device, non_blocking=True)
        with torch.no_grad():
            source = self.frozen.content(shift.mels)
        made = self.networks.generator(source.content, source.sequence, shift.condition)
        judged = self.update_critic(shift.real, shift.condition, made.detach(), shift.condition, step)
        heard = self.frozen.content(made)
        losses = self._transfer_losses(shift, source, made, heard, step)
        return judged | self.update_generator(losses | self._reconstruction_losses(shift, source, heard))

    def _transfer_losses(
        self, shift: _Shift, source: Analysis, made: Tensor, heard: Analysis, step: int
    ) -> dict[str, Tensor]:
        weights, losses = self.weights, {}
        if weights["content"]:
            losses["content"] = content_loss(heard, source)
        if weights["style"]:
            losses["style"] = style_loss(self.project(heard, made), shift.condition)
        if weights["flatness"]:
            losses["flatness"] = flatness_loss(made, shift.real)
        if weights["bands"]:
            losses["bands"] = band_loss(made, self.statistics, shift.genres)
        if weights["continuity"]:
            watched = slice(max(1, round(self.settings.stage2.continuity_share * len(made))))
            losses["continuity"] = mel_continuity(made[watched], shift.mels[watched]).mean()
        if self.plays(step):
            set_trainable(self.networks.critic, False)
            verdict = self.networks.critic(made, shift.condition)
            losses["adversarial"] = hinge_generator(verdict.logits)
            if weights["feature_matching"]:
                with torch.no_grad():
                    real = self.networks.critic(shift.real, shift.condition)
                losses["feature_matching"] = moment_matching(real.features, verdict.features, shift.genres)
        return losses

    def _reconstruction_losses(self, shift: _Shift, source: Analysis, heard: Analysis) -> dict[str, Tensor]:
        """Write some of the samples at their own style: from their own content, and from their transfers'."""
        n = max(1, round(self.settings.stage2.reconstruction_share * len(shift.mels)))
        sources = {"l1": source, "back_translation": heard}
        sources = {name: analysis for name, analysis in sources.items() if self.weights[name]}
        if not sources:
            return {}
        content, sequence = (
            torch.cat([getattr(analysis, part)[:n].detach() for analysis in sources.values()])
            for part in ("content", "sequence")
        )
        again = self.networks.generator(content, sequence, shift.own[:n].repeat(len(sources), 1))
        return {name: (part - shift.mels[:n]).abs().mean() for name, part in zip(sources, again.split(n), strict=True)}

    def _other_genres(self, rows: np.ndarray, step: int) -> np.ndarray:
        return other_genres(self.genre[rows], len(self.frozen.targets.genres), step)
