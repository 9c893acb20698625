"""The trained models that an edit may need, read when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from soundgate.runtime.config import parse_section
from soundgate.runtime.console import logger
from soundgate.runtime.errors import WeightsError
from soundgate.runtime.files import read_json
from soundgate.tracks.editor.editing.generate import Voice
from soundgate.tracks.editor.features import Features, FeatureSettings
from soundgate.tracks.editor.policy.model import EditPredictor, load_predictor
from soundgate.tracks.editor.reconstruct.model import ReconstructionModel, load_reconstruction
from soundgate.tracks.editor.vocoder.inverting import griffin_lim_unit
from soundgate.tracks.editor.vocoder.model import load_vocoder
from soundgate.training.weights import CONFIG_FILE, MODEL_FILE

NAMES = POLICY, RECONSTRUCTION, VOCODER = "policy", "reconstruction", "vocoder"
_STAGES = {POLICY: "editor-policy", RECONSTRUCTION: "editor-reconstruct"}


class Models:
    """The trained models, on the CPU.

    Args:
        folders: of ``policy``, ``reconstruction`` and ``vocoder``, as the stages publish them.
        settings: of the frames that a policy alone, which does not say what it reads, is given.
        griffin_lim_iterations: where there is no vocoder.
    """

    def __init__(self, folders: Mapping[str, Path], settings: FeatureSettings, griffin_lim_iterations: int) -> None:
        self.folders, self.settings, self.griffin_lim_iterations = folders, settings, griffin_lim_iterations

    @classmethod
    def below(cls, folder: Path, settings: FeatureSettings, griffin_lim_iterations: int) -> Models:
        """Take the models of one folder."""
        return cls({name: folder / name for name in NAMES}, settings, griffin_lim_iterations)

    @cached_property
    def features(self) -> Features:
        """What the models read and write.

        Raises:
            WeightsError: the reconstruction and the vocoder do not agree on it.
        """
        configs = {name: self.folders[name] / CONFIG_FILE for name in (RECONSTRUCTION, VOCODER)}
        found = {
            name: parse_section(f"{path}: features", read_json(path)["features"], FeatureSettings)
            for name, path in configs.items()
            if path.is_file()
        }
        if len(set(found.values())) > 1:
            raise WeightsError(
                self.folders[RECONSTRUCTION], expected="models of the same frames", found=f"others in {VOCODER}"
            )
        return Features(next(iter(found.values()), self.settings))

    @cached_property
    def policy(self) -> EditPredictor:
        """What labels beats."""
        return load_predictor(self._there(POLICY))

    @cached_property
    def reconstruction(self) -> ReconstructionModel:
        """What says how a labelled recording sounds."""
        return load_reconstruction(self._there(RECONSTRUCTION))

    @cached_property
    def voice(self) -> Voice:
        """What makes a wave of frames."""
        if (self.folders[VOCODER] / MODEL_FILE).is_file():
            return load_vocoder(self.folders[VOCODER])
        logger.warning("%s: no vocoder; Griffin and Lim's method stands in", self.folders[VOCODER])
        return lambda unit: griffin_lim_unit(self.features, unit, self.griffin_lim_iterations)

    def _there(self, name: str) -> Path:
        folder = self.folders[name]
        if not (folder / MODEL_FILE).is_file():
            remedy = f"Run: dvc repro {_STAGES[name]} (or name the folder of your models with --models)."
            raise WeightsError(folder, expected="a trained model", found="none", remedy=remedy)
        return folder
