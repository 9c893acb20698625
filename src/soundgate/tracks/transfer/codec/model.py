"""The trained translator on disk."""

from __future__ import annotations

from pathlib import Path

from soundgate.tracks.transfer.codec.settings import TranslatorSettings
from soundgate.tracks.transfer.codec.translator import Translator
from soundgate.training.weights import read_model, save_model


def save_translator(folder: str | Path, translator: Translator) -> None:
    """Write the translator where `load_translator` finds it."""
    sizes = {"dim": translator.dim, "n_content": translator.n_content, "n_style": translator.n_style}
    save_model(folder, translator, {"translator": translator.settings.model_dump(mode="json")} | sizes)


def load_translator(folder: str | Path) -> Translator:
    """Load a trained translator, frozen and in evaluation mode, on the CPU.

    Raises:
        WeightsError: a file is missing or damaged.
    """
    config, tensors = read_model(folder)
    settings = TranslatorSettings.model_validate(config.pop("translator"))
    translator = Translator(settings, **config)
    translator.load_state_dict(tensors)
    return translator.requires_grad_(False).eval()
