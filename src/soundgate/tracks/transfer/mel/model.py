"""The trained mel model on disk and in use."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from soundgate.tracks.transfer.mel.generator import Generator
from soundgate.tracks.transfer.mel.settings import GeneratorSettings
from soundgate.training.weights import read_model, save_model


class MelModel(nn.Module):
    """What stays of the training: the averaged generator.

    Args:
        generator: see `Generator`.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    @torch.no_grad()
    def generate(self, content: Tensor, sequence: Tensor, target: Tensor) -> Tensor:
        """Write spectrograms.

        Args:
            content: [B, 128], of `soundgate.tracks.transfer.content.model.Analysis`, as is the next.
            sequence: [B, 128, L].
            target: [B, D], a target vector of `soundgate.tracks.transfer.style.targets`.

        Returns:
            [B, 96, 8 · L] in the models' scale.
        """
        return self.generator(content, sequence, target)


def save_mel_model(folder: str | Path, generator: Generator) -> None:
    """Write the generator where `load_mel_model` finds it."""
    config = {"generator": generator.settings.model_dump(mode="json"), "n_target": generator.n_target}
    save_model(folder, generator, config)


def load_mel_model(folder: str | Path) -> MelModel:
    """Load a trained model, frozen and in evaluation mode, on the CPU.

    Raises:
        WeightsError: a file is missing or damaged.
    """
    config, tensors = read_model(folder)
    generator = Generator(GeneratorSettings.model_validate(config["generator"]), config["n_target"])
    generator.load_state_dict(tensors)
    return MelModel(generator).requires_grad_(False).eval()
