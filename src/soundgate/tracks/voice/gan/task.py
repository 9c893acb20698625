"""The GAN's training step: one batch, both sides' gradients, then both sides' steps."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import send_to_device
from torch import Tensor, nn

from soundgate.runtime.errors import TrainingError
from soundgate.runtime.processes import is_main, n_processes
from soundgate.runtime.randomness import keyed_seed
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.gan.batches import Batch, Batches, pick
from soundgate.tracks.voice.gan.contrastive import choose_negatives, contrastive_loss
from soundgate.tracks.voice.gan.critics import Critics
from soundgate.tracks.voice.gan.memory import EmbeddingMemory
from soundgate.tracks.voice.gan.probing import Listener, heard_rows, probe
from soundgate.tracks.voice.gan.reconstruction import SpectralLosses
from soundgate.tracks.voice.gan.samples import write_samples
from soundgate.tracks.voice.gan.settings import TrainSettings
from soundgate.tracks.voice.model.converter import VoiceConverter, Voices
from soundgate.training.adversarial import set_trainable
from soundgate.training.distribution import batch_means, own_share, whole_batch
from soundgate.training.finite import require_finite
from soundgate.training.health.seen import Seen
from soundgate.training.learner import Learner
from soundgate.training.optimisers import adamw
from soundgate.training.schedule import set_rate, warm_cosine
from soundgate.training.task import DrawnTask

STAGE = "voice-train"


class GanTask(DrawnTask):
    """Items are the utterances of the training split.

    Losses are means over the whole batch: a part's counts by its share of its process's, gradients are added over parts
    and are means over processes. Both sides' gradients are of the weights before the step, so that a batch is refused
    before either moves.

    Args:
        cache: the utterances.
        speaker: the speaker encoder as it was trained.
        settings: see `TrainSettings`.
        seed: of the weights.
        n_steps: of the whole training, for the schedules.
        device: to compute on.

    Attributes:
        converter: what is trained.
        critics: both discriminators.
        listener: the speaker encoder that the contrastive loss listens with; it does not change.
        samples: folder that epochs' samples are written to; None: they are not.

    Raises:
        TrainingError: the batch cannot be shared by the processes.
    """

    def __init__(
        self,
        cache: VoiceCache,
        speaker: nn.Module,
        settings: TrainSettings,
        seed: int,
        n_steps: int,
        device: torch.device,
    ) -> None:
        self.settings, self.n_steps, self.device = settings, n_steps, device
        self.cache, self.batches = cache, Batches(cache, settings)
        _require_shares(settings)
        torch.manual_seed(keyed_seed(seed, STAGE, "weights"))
        speaker = speaker.to(device)
        self.listener = Listener(copy.deepcopy(speaker) if settings.speaker_trainable else speaker)
        set_trainable(speaker, settings.speaker_trainable)
        self.converter = VoiceConverter(settings.network, cache.settings, speaker).to(device)
        self.critics = Critics(settings).to(device)
        self.memory = EmbeddingMemory(settings.contrastive.memory, self.converter.n_embedding).to(device)
        self.spectra = SpectralLosses(cache.settings.sample_rate, cache.settings.n_mels).to(device)
        self.modules = {
            "converter": self.converter, "mpd": self.critics.mpd, "mrd": self.critics.mrd, "memory": self.memory
        }  # fmt: skip
        sides = {"generator": self.converter, "discriminators": self.critics}
        self.optimisers = {name: self._optimiser(side) for name, side in sides.items()}
        self.learners = {name: Learner(own, settings.clip) for name, own in self.optimisers.items()}
        if settings.compile:
            self.converter.decoder.compile()
        self.rows = heard_rows(cache, settings.n_evaluated)
        self.heard = cache.batch(self.rows, self.batches.n_samples, None)
        self.samples: Path | None = None
        self.n_taken = 0

    def draw(self, items: np.ndarray, step: int) -> Batch:
        """Draw this process's share of a batch.

        Args:
            items: int64 [P], an utterance of each of the batch's speakers.
            step: from 0.

        Raises:
            TrainingError: memory does not suffice.
        """
        with _enough_memory():
            return self.batches.draw(items)

    def learn(self, batch: Batch, step: int) -> dict[str, float]:
        """Take one step of both sides.

        Args:
            batch: from `draw`.
            step: from 0.

        Raises:
            NonFiniteBatch: a loss or a gradient is not finite; no weight was changed.
            TrainingError: memory does not suffice.
        """
        self.n_taken = step + 1
        for learner in self.learners.values():
            learner.forget()
        with _enough_memory():
            batch = send_to_device(batch, self.device, non_blocking=True)
            known = whole_batch(self.listener(batch.utterances.wav[: len(batch.sibling)]))
            self._latest = batch, known
            losses: dict[str, Tensor] = {}
            parts = self._parts(len(batch.sibling))
            for number, part in enumerate(parts, 1):
                for name, loss in self._backward(batch, part, known, step, more=number < len(parts)).items():
                    losses[name] = losses.get(name, 0) + loss
        means = self._update(step, losses)
        self.memory.add(known, batch.speaker)
        return means

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return what validation utterances sound like, ``validation_`` before the names of `probe`'s figures.

        Every ``sample_interval`` epochs samples are written; they draw nothing either.
        """
        self._write_samples()
        names = ("mel_db", "speaker_similarity", "source_similarity")
        figures = self.probe()
        return {f"validation_{name}": figures[name] for name in names}

    @torch.no_grad()
    def probe(self) -> dict[str, float]:
        """Return what the health monitor watches, of utterances that are always the same; see `probing.probe`."""
        return probe(self.converter, self.critics.mpd, self.critics.mrd, self.listener, self.heard)

    def seen(self) -> Seen:
        """Return the last step's batch, for the health monitor."""
        batch, known = self._latest
        n_own = len(batch.sibling)
        sound, speaker = batch.utterances.wav[:n_own], batch.utterances.speaker[:n_own]
        return Seen(sound=sound, labels=speaker, features=known[own_share(len(known))])

    @torch.no_grad()
    def losses(self) -> dict[str, float]:
        """Return the present batch's losses that a step of the converter should lower, for the health monitor."""
        batch, known = self._latest
        part, weights = slice(0, len(batch.sibling)), self.settings.weights
        voices = self._voices(batch, batch.sibling[part], known)
        made = self.converter(pick(batch.utterances, part), voices, pick(batch.rebuilding, part))
        losses = self.spectra(made, batch.utterances.wav[part])
        if weights.contrastive:
            losses["contrastive"] = self._contrastive(batch, part, known)
        return {name: float(loss) for name, loss in losses.items() if getattr(weights, name)}

    def _write_samples(self) -> None:
        settings = self.settings
        epoch = self.n_taken // self.settings.task_loop.per_epoch(len(self.batches.rows))
        if (
            self.samples is not None
            and settings.sample_interval
            and epoch % settings.sample_interval == 0
            and is_main()
        ):
            write_samples(self.converter, self.cache, self.rows, self.samples / f"epoch_{epoch:04d}")

    def plays(self, step: int) -> bool:
        """Whether the discriminators have come in, if they are asked at all."""
        weights = self.settings.weights
        asked = weights.adversarial or weights.feature_matching
        return bool(asked) and step >= self.settings.gan_start * self.n_steps

    def _parts(self, n_own: int) -> list[slice]:
        """Return which of this process's items each part has that it computes at a time."""
        length = n_own // self.settings.accumulation
        return [slice(start, start + length) for start in range(0, n_own, length)]

    def _backward(self, batch: Batch, part: slice, known: Tensor, step: int, *, more: bool) -> dict[str, Tensor]:
        """Add a part's gradients, and return its share of the losses; ``more`` parts follow or not."""
        weights, share = self.settings.weights, (part.stop - part.start) * n_processes() / len(known)
        truth = batch.utterances.wav[part]
        with self._autocast():
            voices = self._voices(batch, batch.sibling[part], known)
            made = self.converter(pick(batch.utterances, part), voices, pick(batch.rebuilding, part))
        losses = {}
        if weights.mel or weights.stft:
            losses |= {name: loss * share for name, loss in self.spectra(made, truth).items() if getattr(weights, name)}
        judged = {}
        if self.plays(step):
            window = slice(batch.first_judged, batch.first_judged + self.batches.n_judged)
            judged, loss, real = self.critics.judge(truth[:, window], made.detach()[:, window], share, step)
            self.learners["discriminators"].backward(loss, more=more)
            losses |= self.critics.fool(made[:, window], real, share)
        if weights.contrastive:
            losses["contrastive"] = self._contrastive(batch, part, known)
        total = sum(getattr(weights, name) * loss for name, loss in losses.items())
        if losses:
            self.learners["generator"].backward(total, more=more)
            losses["loss"] = total
        return {name: loss.detach() for name, loss in (losses | judged).items()}

    def _voices(self, batch: Batch, places: Tensor, known: Tensor) -> Voices:
        """Return the voices of some items of the whole batch; a frozen encoder has heard them already."""
        if self.settings.speaker_trainable:
            return self.converter.voices(pick(batch.utterances, batch.position[places]))
        return Voices(known[places], batch.log_f0_mean[places], batch.log_f0_std[places])

    def _contrastive(self, batch: Batch, part: slice, known: Tensor) -> Tensor:
        """Return the part's share of the mean over the batch's conversions, times the number of processes."""
        chosen = batch.converted[batch.n_converted[part.start] : batch.n_converted[part.stop]]
        if not len(chosen):
            return torch.zeros((), device=self.device)
        target = batch.target[chosen]
        with self._autocast():
            made = self.converter(
                pick(batch.utterances, chosen), self._voices(batch, target, known), pick(batch.converting, chosen)
            )
        pool = torch.cat([known, self.memory.embeddings])
        speakers = torch.cat([batch.speaker, self.memory.speakers])
        of_target = known[target], batch.speaker[target]
        negatives = choose_negatives(*of_target, pool, speakers, batch.order[chosen], self.settings.contrastive)
        losses = contrastive_loss(self.listener.follow(made), known[target], negatives, self.settings.contrastive)
        return losses.sum() * n_processes() / batch.n_conversions

    def _update(self, step: int, losses: dict[str, Tensor]) -> dict[str, float]:
        """Let both sides learn, unless something is not finite in any process; return the whole batch's losses."""
        settings = self.settings
        # The discriminators have no gradient before the GAN's start.
        norms = {name: own.clip_gradients() for name, own in self.learners.items() if own.has_gradient()}
        require_finite({f"gradient of the {name}": norm for name, norm in norms.items()})
        require_finite(losses)
        rate = settings.learning_rate * warm_cosine(
            step, self.n_steps, warm_up=settings.warm_up, final=settings.final_rate
        )
        set_rate(self.optimisers["generator"], rate)
        set_rate(self.optimisers["discriminators"], rate * settings.critic_rate)
        for name in norms:
            self.optimisers[name].step()
        return batch_means(losses)

    def _optimiser(self, module: nn.Module) -> torch.optim.Optimizer:
        settings = self.settings
        learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
        return adamw(learning, settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16")


def _require_shares(settings: TrainSettings) -> None:
    size, parts = settings.loop.batch_size, n_processes() * settings.accumulation
    if size % parts:
        raise TrainingError(
            STAGE,
            expected=f"voice.train.loop.batch_size a multiple of {parts}, processes times accumulation",
            found=str(size),
        )


@contextmanager
def _enough_memory() -> Iterator[None]:
    """Say which setting to change where memory does not suffice."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; the CPU's allocator has none of its own.
        if not isinstance(error, torch.OutOfMemoryError) and "not enough memory" not in str(error):
            raise
        raise TrainingError(
            STAGE,
            expected="memory for a batch",
            found=str(error).splitlines()[0],
            remedy="Raise voice.train.accumulation, or lower voice.train.loop.batch_size or voice.train.segment_s.",
        ) from error
