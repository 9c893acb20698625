"""Fit normalisers, the linear model and the conditions."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_training_seed
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.structure.fitting import fit_conditioning
from soundgate.tracks.structure.settings import ConditioningSettings
from soundgate.tracks.structure.store import load_sequences, save_conditioning


@stage_command("structure-conditioning")
@input_option("latents", "Folder with latents.zarr.")
@input_option("frames", "The frame table, frames.parquet.")
@output_option("out", "Folder for the fitted models and the cluster of every frame.")
def main(latents: Path, frames: Path, out: Path) -> None:
    """Fit every condition at every lag on train frames, and assign every frame to its cluster."""
    settings = load_section("structure.conditioning", ConditioningSettings)
    sequences, _ = load_sequences(latents, frames, settings.history)
    save_conditioning(out, fit_conditioning(sequences, settings, load_training_seed()))


if __name__ == "__main__":
    main()
