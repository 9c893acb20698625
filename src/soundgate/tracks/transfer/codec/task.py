"""One stage of the codec path: identity, transfer or diversity, by its weights and by the styles it asks for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from accelerate.utils import send_to_device
from auraloss.freq import MultiResolutionSTFTLoss
from torch import Tensor
from torch.nn import functional

from soundgate.audio.mel import FLOOR_DB
from soundgate.runtime.arithmetic import square_root
from soundgate.runtime.randomness import keyed_generator, keyed_seed
from soundgate.tracks.transfer.adversarial_task import AdversarialTask, Networks, mixing, other_genres, spread_rows
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.codec.bank import StyleBank
from soundgate.tracks.transfer.codec.critic import WaveCritic
from soundgate.tracks.transfer.codec.latents import LatentCache
from soundgate.tracks.transfer.codec.settings import CodecStageSettings, CodecTransferSettings
from soundgate.tracks.transfer.codec.sound import Sound
from soundgate.tracks.transfer.codec.translator import Translator
from soundgate.tracks.transfer.content.model import DIM, Analysis, ContentModel
from soundgate.tracks.transfer.mel.losses import content_loss, style_loss
from soundgate.tracks.transfer.mel.model import MelModel
from soundgate.tracks.transfer.style.targets import StyleTargets
from soundgate.tracks.transfer.texture import Textures, texture_statistics
from soundgate.training.adversarial import feature_matching, hinge_generator, moment_matching, set_trainable
from soundgate.training.finite import require_finite
from soundgate.training.optimisers import adamw

STAGE = "transfer-codec"
_BATCH = 32


class Frozen(NamedTuple):
    """What the training reads and does not change.

    Args:
        cache: the chunks.
        latents: theirs.
        content: Lab 1's model, on the device, as are the bank's judge, ``sound`` and ``teacher``.
        targets: Lab 2's target vectors.
        bank: the latent judge and its vectors.
        sound: the codec's decoder.
        teacher: the mel path's trained model.
        device: to compute on.
    """

    cache: ChunkCache
    latents: LatentCache
    content: ContentModel
    targets: StyleTargets
    bank: StyleBank
    sound: Sound
    teacher: MelModel
    device: torch.device


def new_networks(settings: CodecTransferSettings, frozen: Frozen, seed: int) -> Networks:
    """Return untrained networks; the weights are keyed by the seed."""
    torch.manual_seed(keyed_seed(seed, STAGE, "weights"))
    translator = Translator(settings.translator, frozen.latents.dim, DIM, frozen.bank.dim)
    translator.mean.copy_(torch.from_numpy(frozen.latents.mean)[:, None])
    translator.std.copy_(torch.from_numpy(frozen.latents.std)[:, None])
    return Networks.of(translator, WaveCritic(settings.critic, frozen.bank.dim), frozen.device)


class Crops(NamedTuple):
    """One batch: sources, what is asked of them, and real items that are so.

    Args:
        latents: [B, D, L] of the sources.
        genres: int64 [B], asked for.
        style: [B, 128], the bank's vectors of what is asked for.
        target: [B, D'], Lab 2's.
        real: [B, D, L'], latents of real items of these genres, as long as the critic listens.
    """

    latents: Tensor
    genres: Tensor
    style: Tensor
    target: Tensor
    real: Tensor


class Ask(NamedTuple):
    """`Crops` on the device, their waves [B, T], and the analysis of these."""

    latents: Tensor
    genres: Tensor
    style: Tensor
    target: Tensor
    real: Tensor
    wave: Tensor
    source: Analysis


class CodecTask(AdversarialTask):
    """A stage; see `AdversarialTask`.

    Args:
        number: 1, 2 or 3; the first asks for the items' own styles.
        frozen: see `Frozen`.
        networks: see `Networks`.
        settings: see `CodecTransferSettings`.
        seed: of the draws.
        n_steps: of the whole stage, for the schedules.
    """

    def __init__(
        self, number: int, frozen: Frozen, networks: Networks, settings: CodecTransferSettings, seed: int, n_steps: int
    ) -> None:
        self.name, self.is_identity = f"{STAGE} stage{number}", number == 1
        self.stage: CodecStageSettings = getattr(settings, f"stage{number}")
        optimisers = {
            name: adamw(
                module.parameters(), settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay
            )
            for name, module in (("generator", networks.generator), ("critic", networks.critic))
        }
        weights = self.stage.weights.model_dump()
        super().__init__(networks, optimisers, settings, weights, self.stage.adversary, seed, n_steps)
        self.frozen, self.settings = frozen, settings
        self.rows = frozen.cache.rows("train")
        self.genre = frozen.cache.index["genre_code"].to_numpy()
        self.evaluated = spread_rows(frozen.cache.rows("test"), settings.n_evaluated)
        self.n_frames = min(frozen.sound.n_frames(settings.duration_s), frozen.latents.n_frames)
        sizes = [512, 1024, 2048]
        self.spectra = MultiResolutionSTFTLoss(sizes, [size // 4 for size in sizes], sizes).to(frozen.device)
        self.textures = self._textures() if self.weights["texture"] else None

    def draw(self, items: np.ndarray, step: int) -> Crops:
        """Draw a crop of each sample, what it is asked for, and a real item that is so."""
        frozen, generator, rows = self.frozen, self.draws(step), self.rows[items]
        starts = generator.integers(frozen.latents.n_frames - self.n_frames + 1, size=len(rows))
        latents = frozen.latents.batch(rows, starts, self.n_frames)
        genres = self.genre[rows] if self.is_identity else other_genres(self.genre[rows], len(frozen.bank.genres), step)
        asked = (torch.from_numpy(values) for values in (genres, *self._conditions(rows, genres, step)))
        real_rows = rows if self.is_identity else self._real_rows(genres, generator)
        n_heard = min(self.settings.critic.n_frames, self.n_frames)
        real = frozen.latents.batch(real_rows, starts + self._first_frame(step), n_heard)
        return Crops(latents, *asked, real)

    def learn(self, batch: Crops, step: int) -> dict[str, float]:
        """Take one step of the critic, where it is its turn, and one of the translator."""
        self.set_rates(step)
        ask = self.ask(batch)
        noise = torch.randn(len(ask.latents), self.settings.translator.n_noise, device=self.frozen.device)
        made = self.networks.generator(ask.latents, ask.source.content, ask.style, noise)
        require_finite({"latents": made.sum()})  # The codec's contract asks for it.
        wave = self.frozen.sound.waves(made)
        heard = self._window(wave, step)
        judged = self.update_critic(self._real_waves(ask), ask.style, heard.detach(), ask.style, step)
        losses = self._sound_losses(ask, wave) | self._latent_losses(ask, made) | self._critic_losses(ask, heard, step)
        if self.weights["mr_stft"]:
            losses["mr_stft"] = self.spectra(heard[:, None], self._window(ask.wave, step)[:, None])
        if self.weights["mode_seeking"]:
            losses["mode_seeking"] = self._mode_seeking(ask, made, noise)
        return judged | self.update_generator(losses)

    @torch.no_grad()
    def ask(self, batch: Crops) -> Ask:
        """Return a batch on the device, with its sources as they sound and what is in them."""
        crops = send_to_device(batch, self.frozen.device, non_blocking=True)
        wave = self.frozen.sound.waves(crops.latents)
        return Ask(*crops, wave, self.frozen.content(self.frozen.sound.mels(wave)))

    def _conditions(self, rows: np.ndarray, genres: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what is asked for in the bank's vectors and in Lab 2's: the same exemplars in both."""
        frozen = self.frozen
        if self.is_identity:
            return frozen.bank.targets[rows], frozen.targets.targets[rows]
        alpha = mixing(self.stage.alpha, step, self.n_steps)
        dropped = keyed_generator(self.seed, self.name, f"dropout {step}").random(len(rows))
        vectors = []
        for source in (frozen.bank, frozen.targets):
            drawn = source.condition(
                self.stage.mode, genres, alpha, keyed_generator(self.seed, self.name, f"exemplars {step}")
            )
            vectors.append(np.where(dropped[:, None] < self.stage.style_dropout_p, source.centroids[genres], drawn))
        return vectors[0], vectors[1]

    def _real_rows(self, genres: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return np.array([generator.choice(self.frozen.bank.train_rows[genre]) for genre in genres])

    def _first_frame(self, step: int) -> int:
        """Return where the critic begins to listen at a step."""
        n_heard = min(self.settings.critic.n_frames, self.n_frames)
        return int(keyed_generator(self.seed, self.name, f"window {step}").integers(self.n_frames - n_heard + 1))

    def _window(self, wave: Tensor, step: int) -> Tensor:
        hop = self.frozen.sound.codec.hop_length
        n_heard = min(self.settings.critic.n_frames, self.n_frames)
        return wave[:, self._first_frame(step) * hop :][:, : n_heard * hop]

    @torch.no_grad()
    def _real_waves(self, ask: Ask) -> Tensor:
        return self.frozen.sound.waves(ask.real)

    def _sound_losses(self, ask: Ask, wave: Tensor) -> dict[str, Tensor]:
        """Return the losses on what is heard."""
        weights, losses = self.weights, {}
        if any(weights[name] for name in ("content", "style", "texture", "teacher")):
            mels = self.frozen.sound.mels(wave)
            analysis = self.frozen.content(mels)
            if weights["content"]:
                losses["content"] = content_loss(analysis, ask.source)
            if weights["style"]:
                losses["style"] = style_loss(self.frozen.targets.project(analysis.style, mels), ask.target)
            if weights["texture"]:
                losses["texture"] = self.textures.loss(mels, ask.genres)
            if weights["teacher"]:
                losses["teacher"] = self._teacher_loss(ask, mels)
        return losses

    def _teacher_loss(self, ask: Ask, mels: Tensor) -> Tensor:
        """Return the distance to what the mel path makes of the same music for the same target.

        The mel path has learnt from music in its own style *when* a genre's drums sound, given what is played; no loss
        on transfers without a pair tells that.

        Source: Hinton et al. 2015, "Distilling the knowledge in a neural network".
        """
        asked = self.frozen.teacher.generate(ask.source.content, ask.source.sequence, ask.target)
        return (mels - asked).abs().mean()

    def _latent_losses(self, ask: Ask, made: Tensor) -> dict[str, Tensor]:
        weights, losses = self.weights, {}
        moved = (made - ask.latents) / self.networks.generator.std
        if weights["latent_l1"]:
            losses["latent_l1"] = moved.abs().mean()
        if weights["continuity"]:
            losses["continuity"] = moved.diff(dim=-1).abs().mean()
        if weights["align"] or weights["push"]:
            embedding = self.frozen.bank.judge(made)
            if weights["align"]:
                losses["align"] = style_loss(embedding, ask.style)
            if weights["push"]:
                own = self.frozen.bank.judge(ask.latents)
                losses["push"] = functional.relu(functional.cosine_similarity(embedding, own, dim=1)).mean()
        return losses

    def _critic_losses(self, ask: Ask, heard: Tensor, step: int) -> dict[str, Tensor]:
        if not self.plays(step):
            return {}
        critic = self.networks.critic
        set_trainable(critic, False)
        verdict = critic(heard, ask.style)
        losses = {"adversarial": hinge_generator(verdict.logits)}
        if self.weights["feature_matching"]:
            with torch.no_grad():
                real = critic(self._real_waves(ask), ask.style)
            if self.is_identity:
                losses["feature_matching"] = feature_matching(real.features, verdict.features)
            else:
                losses["feature_matching"] = moment_matching(real.features, verdict.features, ask.genres)
        return losses

    def _mode_seeking(self, ask: Ask, made: Tensor, noise: Tensor) -> Tensor:
        """Return how far outputs of two noises are too near to one another for how far the noises are apart.

        Source: Mao et al. 2019, "Mode seeking generative adversarial networks", eq. 4.
        Differs: a hinge at a margin for the ratio's inverse, so that diversity beyond it costs nothing.
        """
        other = torch.randn_like(noise)
        again = self.networks.generator(ask.latents, ask.source.content, ask.style, other)
        # Equal outputs have no gradient of their distance.
        apart = square_root(((made - again) / self.networks.generator.std).square().mean(dim=(1, 2)) + 1e-8)
        noises_apart = square_root((noise - other).square().mean(dim=1))
        return functional.relu(self.stage.mode_seeking_margin - apart / noises_apart).mean()

    @torch.no_grad()
    def _textures(self) -> Textures:
        """Return the textures of each genre's train items as the codec renders them."""
        frozen, statistics = self.frozen, []
        for rows in frozen.bank.train_rows:
            parts = np.array_split(rows, max(1, len(rows) // _BATCH))
            latents = (frozen.latents.batch(part, 0, self.n_frames).to(frozen.device) for part in parts)
            mels = (frozen.sound.mels(frozen.sound.waves(part)) for part in latents)
            statistics.append(torch.cat([texture_statistics(part) for part in mels]))
        return Textures.of(statistics)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return the averaged translator's figures on test items, asked for centroids in turn.

        ``test_l1_db`` at their own style; ``test_content`` (cosine of pooled content) and ``test_style`` (cosine to
        the target vector asked for) at another genre's centroid; in stage 1 at their own.
        """
        if not len(self.evaluated):
            return {}
        parts = np.array_split(self.evaluated, -(-len(self.evaluated) // _BATCH))
        figures = np.concatenate([self._measured(rows) for rows in parts])
        return dict(zip(("test_l1_db", "test_content", "test_style"), figures.mean(axis=0).tolist(), strict=True))

    def played(self, rows: np.ndarray) -> Tensor:
        """Return the spectrograms of the rows' latents, on the device."""
        return self.frozen.sound.mels(self.frozen.sound.waves(self._latents(rows)))

    def rendered(self, rows: np.ndarray, genres: np.ndarray) -> Tensor:
        """Return the spectrograms that the averaged translator makes of rows, asked for the centroids of genres."""
        frozen, latents = self.frozen, self._latents(rows)
        content = frozen.content(frozen.sound.mels(frozen.sound.waves(latents))).content
        style = torch.from_numpy(frozen.bank.centroids[genres]).to(frozen.device)
        noise = torch.zeros(len(rows), self.settings.translator.n_noise, device=frozen.device)
        return frozen.sound.mels(frozen.sound.waves(self.networks.average(latents, content, style, noise)))

    def _latents(self, rows: np.ndarray) -> Tensor:
        return self.frozen.latents.batch(rows, 0, self.n_frames).to(self.frozen.device)

    def _measured(self, rows: np.ndarray) -> np.ndarray:
        frozen, mels, own = self.frozen, self.played(rows), self.genre[rows]
        asked = own if self.is_identity else other_genres(own, len(frozen.bank.genres), 0)
        distance = (self.rendered(rows, own) - mels).abs().mean(dim=(1, 2)) * (-FLOOR_DB / 2)
        made = self.rendered(rows, asked)
        source, analysis = frozen.content(mels), frozen.content(made)
        target = torch.from_numpy(frozen.targets.centroids[asked]).to(frozen.device)
        style = functional.cosine_similarity(frozen.targets.project(analysis.style, made), target)
        content = functional.cosine_similarity(analysis.content, source.content)
        return torch.stack([distance, content, style], dim=1).cpu().numpy()
