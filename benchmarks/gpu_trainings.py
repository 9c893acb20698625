"""Every training of every track as a task on generated inputs, at the sizes of a composed profile.

Shared by `gpu.py` and its tests: a name, and what builds the task. Everything is in memory but the profile itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import gpu_inputs as inputs
import numpy as np
import torch
from omegaconf import OmegaConf
from torch import nn

from soundgate.codecs.base import Codec
from soundgate.codecs.registry import load_codec
from soundgate.pipeline.compose import compose_text
from soundgate.runtime.config import parse_section
from soundgate.tracks.editor.features import FeatureSettings as PairFeatures
from soundgate.tracks.editor.policy.imitate import ImitationTask
from soundgate.tracks.editor.policy.model import EditPredictor
from soundgate.tracks.editor.policy.ppo import Frozen as PolicyFrozen
from soundgate.tracks.editor.policy.ppo import PpoTask
from soundgate.tracks.editor.policy.settings import ImitationSettings, PolicySettings
from soundgate.tracks.editor.reconstruct.model import build_reconstruction
from soundgate.tracks.editor.reconstruct.settings import ReconstructionSettings
from soundgate.tracks.editor.reconstruct.task import ReconstructionTask
from soundgate.tracks.editor.vocoder.settings import VocoderSettings
from soundgate.tracks.editor.vocoder.task import VocoderTask
from soundgate.tracks.structure.dynamics.linear import LinearFitter
from soundgate.tracks.structure.dynamics.settings import CompareSettings
from soundgate.tracks.structure.dynamics.settings import TrainSettings as DynamicsSettings
from soundgate.tracks.structure.dynamics.task import DynamicsTask, frame_scale
from soundgate.tracks.structure.dynamics.windows import Windows
from soundgate.tracks.structure.sequences import TRAIN
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.caching import CacheSettings
from soundgate.tracks.transfer.codec.bank import StyleBank
from soundgate.tracks.transfer.codec.judge import DIM as BANK_DIM
from soundgate.tracks.transfer.codec.judge import JudgeTask as BankTask
from soundgate.tracks.transfer.codec.judge import LatentJudge
from soundgate.tracks.transfer.codec.latents import LatentCache
from soundgate.tracks.transfer.codec.settings import BankSettings, CodecTransferSettings
from soundgate.tracks.transfer.codec.sound import Sound
from soundgate.tracks.transfer.codec.task import CodecTask
from soundgate.tracks.transfer.codec.task import Frozen as CodecFrozen
from soundgate.tracks.transfer.codec.task import new_networks as new_codec_networks
from soundgate.tracks.transfer.content.model import ContentModel
from soundgate.tracks.transfer.content.settings import ContentSettings
from soundgate.tracks.transfer.content.task import ContentTask
from soundgate.tracks.transfer.judge.task import JudgeSettings, JudgeTask
from soundgate.tracks.transfer.mel.generator import Generator
from soundgate.tracks.transfer.mel.model import MelModel
from soundgate.tracks.transfer.mel.settings import MelTransferSettings
from soundgate.tracks.transfer.mel.stages import IdentityTask, TransferTask
from soundgate.tracks.transfer.mel.task import Frozen as MelFrozen
from soundgate.tracks.transfer.mel.task import new_networks as new_mel_networks
from soundgate.tracks.transfer.style.targets import StyleSettings, StyleTargets
from soundgate.tracks.voice.features import FeatureSettings as VoiceFeatures
from soundgate.tracks.voice.gan.settings import TrainSettings as GanSettings
from soundgate.tracks.voice.gan.task import GanTask
from soundgate.tracks.voice.judge.cepstra import Cepstra
from soundgate.tracks.voice.judge.settings import JudgeSettings as VoiceJudgeSettings
from soundgate.tracks.voice.judge.tasks import EncoderTask, UnitTask
from soundgate.tracks.voice.judge.units import Teacher
from soundgate.tracks.voice.speaker.model import SpeakerEncoder
from soundgate.tracks.voice.speaker.settings import SpeakerSettings
from soundgate.tracks.voice.speaker.task import SpeakerTask
from soundgate.training.task import Task

ROOT = Path(__file__).parents[1]
# Steps are counted from here in a training of so many: the discriminators have come in, and the first of these steps
# has the gradient penalty.
FIRST_STEP, N_STEPS = 8960, 10_000
CODECS = {"bands": {}, "gain_shape": {}, "mimi": {"weights": "random"}, "encodec": {"weights": "random"}}
Model = TypeVar("Model")


class Training(NamedTuple):
    """A task, how many items there are to draw from, and how many a step takes."""

    task: Task
    n_items: int
    batch: int

    def step(self, number: int) -> dict[str, float]:
        """Take a step as the training loop does, on items drawn for it."""
        torch.manual_seed(number)
        items = np.random.default_rng(number).permutation(self.n_items)[: self.batch]
        return self.task.step(items, FIRST_STEP + number)


@dataclass(frozen=True)
class Setup:
    """The composed parameters of a profile, and the device to compute on."""

    values: Mapping
    device: torch.device

    def value(self, dotted: str) -> object:
        value = self.values
        for key in dotted.split("."):
            value = value[key]
        return value

    def section(self, dotted: str, model: type[Model]) -> Model:
        return parse_section(dotted, self.value(dotted), model)

    def changed(self, changes: Mapping[str, object]) -> Setup:
        """Return the same with other values at dotted names."""
        values = copy.deepcopy(self.values)
        for dotted, value in changes.items():
            *parents, leaf = dotted.split(".")
            inside = values
            for key in parents:
                inside = inside[key]
            assert leaf in inside, dotted
            inside[leaf] = value
        return Setup(values, self.device)


@cache
def composed(profile: str) -> Mapping:
    """Return the parameters of a profile; not to be changed."""
    return OmegaConf.to_container(OmegaConf.create(compose_text([f"profile={profile}"], ROOT / "conf")))


def frozen(network: nn.Module, device: torch.device) -> nn.Module:
    return network.requires_grad_(False).eval().to(device)


def random_codec(setup: Setup, name: str, settings: str = "codec") -> Codec:
    """Return a codec at the profile's settings with random weights."""
    return load_codec(name, setup.value(f"{settings}.{name}") | CODECS[name])


class CodecShape(NamedTuple):
    """What a codec's latents are like."""

    dim: int
    hop_length: int
    sample_rate: int

    @classmethod
    def of(cls, setup: Setup, name: str, settings: str = "codec") -> CodecShape:
        return cls.built(name, tuple(setup.value(f"{settings}.{name}").items()))

    @staticmethod
    @cache
    def built(name: str, settings: tuple) -> CodecShape:
        codec = load_codec(name, dict(settings) | CODECS[name])
        return CodecShape(codec.dim, codec.hop_length, codec.sample_rate)


def chunks(setup: Setup, n_items: int) -> ChunkCache:
    settings = setup.section("transfer.cache", CacheSettings)
    mel = settings.mel
    return inputs.chunk_cache(
        n_items, mel.n_mels, 1 + round(settings.chunks.duration_s * mel.sample_rate) // mel.hop_length
    )


def targets_of(setup: Setup, cache: ChunkCache) -> StyleTargets:
    style = setup.section("transfer.style", StyleSettings)
    return inputs.style_targets(cache, style.lda, style.descriptor_weight, style.exemplar_noise)


def content_model(setup: Setup, cache: ChunkCache) -> ContentModel:
    encoder = setup.section("transfer.content", ContentSettings).encoder
    return frozen(ContentModel(encoder, len(cache.genres), len(cache.sources)), setup.device)


def content(setup: Setup) -> Training:
    settings = setup.section("transfer.content", ContentSettings)
    cache = chunks(setup, settings.loop.batch_size)
    task = ContentTask(cache, settings, 0, setup.device, N_STEPS)
    return Training(task, len(task.rows), settings.loop.batch_size)


def content_judge(setup: Setup) -> Training:
    settings = setup.section("transfer.judge", JudgeSettings)
    task = JudgeTask(chunks(setup, settings.loop.batch_size), settings, 0, N_STEPS, setup.device)
    return Training(task, len(task.rows), settings.loop.batch_size)


def mel(setup: Setup, stage: int) -> Training:
    settings = setup.section("transfer.mel", MelTransferSettings)
    batch = getattr(settings, f"stage{stage}").loop.batch_size
    cache = chunks(setup, batch)
    given = MelFrozen(cache, content_model(setup, cache), targets_of(setup, cache), setup.device)
    kind = {1: IdentityTask, 2: TransferTask}[stage]
    task = kind(given, new_mel_networks(settings, given, 0), settings, 0, N_STEPS)
    return Training(task, len(task.rows), batch)


def bank(setup: Setup) -> Training:
    settings = setup.section("transfer.bank", BankSettings)
    cache = chunks(setup, settings.loop.batch_size)
    task = BankTask(cache, chunk_latents(setup, cache), settings, 0, N_STEPS, setup.device)
    return Training(task, len(task.rows), settings.loop.batch_size)


def codec_path(setup: Setup, stage: int) -> Training:
    settings = setup.section("transfer.codec", CodecTransferSettings)
    batch, device = getattr(settings, f"stage{stage}").loop.batch_size, setup.device
    cache, codec = chunks(setup, batch), random_codec(setup, *_transfer_codec(setup))
    targets, own = targets_of(setup, cache), setup.section("transfer.bank", BankSettings)
    judge = frozen(LatentJudge(codec.dim, own.channels, len(cache.genres), len(cache.sources)), device)
    vectors = inputs.style_vectors(cache, BANK_DIM, own.exemplar_noise)
    generator = Generator(setup.section("transfer.mel", MelTransferSettings).generator, targets.dim)
    spectrogram = setup.section("transfer.cache", CacheSettings).mel
    given = CodecFrozen(
        cache, chunk_latents(setup, cache), content_model(setup, cache),
        targets, StyleBank(**vars(vectors), judge=judge), Sound(codec, spectrogram).to(device),
        frozen(MelModel(generator), device), device,
    )  # fmt: skip
    task = CodecTask(stage, given, new_codec_networks(settings, given, 0), settings, 0, N_STEPS)
    return Training(task, len(task.rows), batch)


def _transfer_codec(setup: Setup) -> tuple[str, str]:
    return setup.value("transfer.codecs")[0], "transfer.codec_settings"


def chunk_latents(setup: Setup, cache: ChunkCache) -> LatentCache:
    shape = CodecShape.of(setup, *_transfer_codec(setup))
    samples = round(setup.section("transfer.cache", CacheSettings).chunks.duration_s * shape.sample_rate)
    return inputs.latent_cache(cache, shape.dim, -(-samples // shape.hop_length), {})


def imitation(setup: Setup) -> Training:
    return _on_pairs(setup, setup.section("editor.imitation", ImitationSettings), ImitationTask)


def policy(setup: Setup) -> Training:
    settings = setup.section("editor.policy", PolicySettings)
    batch, features = settings.ppo.loop.batch_size, setup.section("editor.cache.features", PairFeatures)
    reconstruction = setup.section("editor.reconstruction", ReconstructionSettings).network
    given = PolicyFrozen(
        inputs.pair_cache(features, batch, settings.network.n_frames),
        frozen(EditPredictor(settings.network, features.n_mels), setup.device),
        frozen(build_reconstruction(reconstruction, features), setup.device),
    )
    return Training(PpoTask(given, settings, 0, N_STEPS), batch, batch)


def reconstruction(setup: Setup) -> Training:
    return _on_pairs(setup, setup.section("editor.reconstruction", ReconstructionSettings), ReconstructionTask)


def _on_pairs(
    setup: Setup,
    settings: ImitationSettings | ReconstructionSettings,
    task: type[ImitationTask] | type[ReconstructionTask],
) -> Training:
    batch, features = settings.loop.batch_size, setup.section("editor.cache.features", PairFeatures)
    cache = inputs.pair_cache(features, batch, settings.network.n_frames)
    return Training(task(cache, settings, 0, setup.device, N_STEPS), batch, batch)


def vocoder(setup: Setup) -> Training:
    settings = setup.section("editor.vocoder", VocoderSettings)
    batch, features = settings.loop.batch_size, setup.section("editor.cache.features", PairFeatures)
    recordings = inputs.waves(batch, 2 * settings.crop_frames * features.hop_length)
    return Training(VocoderTask(recordings, features, settings, 0, N_STEPS, setup.device), batch, batch)


def speaker(setup: Setup) -> Training:
    settings = setup.section("voice.speaker", SpeakerSettings)
    batch, features = settings.loop.batch_size, setup.section("voice.cache.features", VoiceFeatures)
    cache = inputs.voice_cache(features, max(2, batch // 2), 2 * settings.crop_s)
    task = SpeakerTask(cache, settings, 0, N_STEPS, setup.device)
    return Training(task, len(task.rows), batch)


def voice_judge(setup: Setup, of: str) -> Training:
    settings = setup.section("voice.judge", VoiceJudgeSettings)
    features = setup.section("voice.cache.features", VoiceFeatures)
    batch = {"encoder": settings.encoder_train, "units": settings.units_train}[of].loop.batch_size
    cache = inputs.voice_cache(features, max(2, batch), 2 * settings.crop_s)
    if of == "encoder":
        task = EncoderTask(cache, settings, 0, setup.device)
        return Training(task, task.n_items, batch)
    units = settings.units
    cepstra = Cepstra(units.n_cepstra, units.f_max_hz, features)
    teacher = Teacher(cepstra, torch.randn(units.n_units, 2 * units.n_cepstra))
    task = UnitTask(cache, settings, teacher, 0, setup.device)
    return Training(task, len(task.rows), batch)


def gan(setup: Setup) -> Training:
    settings = setup.section("voice.train", GanSettings)
    features = setup.section("voice.cache.features", VoiceFeatures)
    batch, network = settings.task_loop.batch_size, setup.section("voice.speaker", SpeakerSettings).network
    cache = inputs.voice_cache(features, max(4, batch), 2 * settings.segment_s)
    encoder = frozen(SpeakerEncoder(network, features), setup.device)
    task = GanTask(cache, encoder, settings, 0, N_STEPS, setup.device)
    return Training(task, len(cache.rows("train")), batch)


def dynamics(setup: Setup, family: str | None = None) -> Training:
    """Return a training of stage dynamics-train, or, of a family, one of dynamics-compare; of the first codec."""
    section, model = ("dynamics.compare", CompareSettings) if family else ("dynamics.train", DynamicsSettings)
    settings = setup.section(section, model)
    codec = CodecShape.of(setup, setup.value("structure.codecs")[0])
    rate = codec.sample_rate / codec.hop_length
    window = max(own.window(rate) for own in settings.contexts.values()) if family else settings.window
    frames = inputs.latent_frames(codec.dim, window, settings.batch_size)
    linear = LinearFitter(frames, settings.ridge, frame_scale(frames, frames.targets(TRAIN))).fit(window)[1]
    task = DynamicsTask(Windows(frames, window, 1), family or "vmf", linear, settings, 0, "benchmark", setup.device)
    return Training(task, len(task.rows), settings.batch_size)


@dataclass(frozen=True)
class Recipe:
    """How a training is built.

    Args:
        build: from the setup.
        batch: name of the setting that says how many items a step takes.
        fewest: the smallest value of it with which every loss has something to compare.
        bf16: changes of settings that make it compute in bfloat16; None: it has no such settings.
        compiled: likewise, of torch.compile.
    """

    build: Callable[[Setup], Training]
    batch: str
    fewest: int = 1
    bf16: Mapping[str, object] | None = None
    compiled: Mapping[str, object] | None = None


def _dynamics(section: str, family: str | None = None) -> Recipe:
    bf16, compiled = {f"{section}.amp": True, f"{section}.amp_dtype": "bfloat16"}, {f"{section}.compile": True}
    return Recipe(partial(dynamics, family=family), f"{section}.batch_size", bf16=bf16, compiled=compiled)


TRAININGS = {
    "structure, dynamics, vMF": _dynamics("dynamics.train"),
    "structure, compare, Gaussian": _dynamics("dynamics.compare", "gaussian"),
    "structure, compare, mixture": _dynamics("dynamics.compare", "mdn"),
    "transfer, content": Recipe(content, "transfer.content.loop.batch_size", fewest=2),
    "transfer, judge": Recipe(content_judge, "transfer.judge.loop.batch_size", fewest=2),
    "transfer, mel, stage 1": Recipe(partial(mel, stage=1), "transfer.mel.stage1.loop.batch_size"),
    "transfer, mel, stage 2": Recipe(partial(mel, stage=2), "transfer.mel.stage2.loop.batch_size"),
    "transfer, bank": Recipe(bank, "transfer.bank.loop.batch_size"),
    "transfer, codec, stage 1": Recipe(partial(codec_path, stage=1), "transfer.codec.stage1.loop.batch_size"),
    "transfer, codec, stage 2": Recipe(partial(codec_path, stage=2), "transfer.codec.stage2.loop.batch_size"),
    "transfer, codec, stage 3": Recipe(partial(codec_path, stage=3), "transfer.codec.stage3.loop.batch_size"),
    "editor, imitation": Recipe(imitation, "editor.imitation.loop.batch_size"),
    "editor, policy": Recipe(policy, "editor.policy.ppo.loop.batch_size"),
    "editor, reconstruction": Recipe(
        reconstruction, "editor.reconstruction.loop.batch_size", bf16={"editor.reconstruction.bf16": True}
    ),
    "editor, vocoder": Recipe(vocoder, "editor.vocoder.loop.batch_size"),
    "voice, speaker": Recipe(speaker, "voice.speaker.loop.batch_size"),
    "voice, judge, encoder": Recipe(
        partial(voice_judge, of="encoder"), "voice.judge.encoder_train.loop.batch_size", fewest=2
    ),
    "voice, judge, units": Recipe(partial(voice_judge, of="units"), "voice.judge.units_train.loop.batch_size"),
    "voice, GAN": Recipe(
        gan, "voice.train.loop.batch_size", fewest=4,
        bf16={"voice.train.precision": "bf16"}, compiled={"voice.train.compile": True},
    ),
}  # fmt: skip
