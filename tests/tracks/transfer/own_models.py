"""Trained paths in small, of the shape that the stages leave them in."""

import shutil

import numpy as np
import torch

from soundgate.tracks.transfer.codec.bank import StyleBank
from soundgate.tracks.transfer.codec.judge import LatentJudge
from soundgate.tracks.transfer.codec.latents import write_latents
from soundgate.tracks.transfer.codec.model import save_translator
from soundgate.tracks.transfer.codec.settings import TranslatorSettings
from soundgate.tracks.transfer.codec.translator import Translator
from soundgate.tracks.transfer.content.model import ContentModel, EncoderSettings, save_content
from soundgate.tracks.transfer.mel.generator import Generator
from soundgate.tracks.transfer.mel.model import save_mel_model
from soundgate.tracks.transfer.mel.settings import GeneratorSettings
from soundgate.tracks.transfer.style.targets import StyleTargets, TargetSpace
from tests.pipeline_file import ROOT

GENRES = ["bright $", "ダーク"]


def write_models(root, profile="tiny"):
    """Write ``params.yaml`` and untrained models below ``data/<profile>/transfer``; the translator changes nothing."""
    shutil.copy(ROOT / "params.yaml", root / "params.yaml")
    folder = root / "data" / profile / "transfer"
    torch.manual_seed(0)
    save_content(folder / "content", ContentModel(EncoderSettings(channels=(8, 8, 8), shared=8), 2, 1).eval())
    vectors = np.eye(2, dtype=np.float32)
    space = TargetSpace(torch.zeros(32), torch.ones(32), 1.0, torch.zeros(160), torch.randn(160, 2))
    rows = [np.array([0]), np.array([1])]
    StyleTargets(vectors, vectors, GENRES, rows, 0.0, space).save(folder / "style")
    settings = GeneratorSettings(channels=8, detail=0, trunk=8, n_trunk=1, kernels=[(3, 1)])
    save_mel_model(folder / "mel", Generator(settings, 2))
    config = {"codec": "gain_shape", "settings": {"frame_rate": 75}, "quantised": False}
    latents = np.random.default_rng(0).normal(size=(2, 128, 375)).astype(np.float16)
    write_latents(folder / "latents", np.arange(2), [latents], np.ones(2, bool), config)
    judge, wide = LatentJudge(128, 8, 2, 1), np.eye(2, 128, dtype=np.float32)
    StyleBank(wide, wide, GENRES, rows, 0.0, judge).save(folder / "bank")
    sizes = TranslatorSettings(width=8, dilations=(1,), n_noise=4, reach=1.0)
    save_translator(folder / "codec", Translator(sizes, 128, 128, 128))
