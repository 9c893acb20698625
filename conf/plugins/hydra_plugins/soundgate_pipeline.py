"""Loaded before a composition, by `soundgate compose` and by `dvc exp run -S` (`hydra.plugins_path` in .dvc/config)."""

from soundgate.pipeline.inputs import register_resolver

register_resolver()
