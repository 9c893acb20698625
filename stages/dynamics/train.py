"""Train the models of latent dynamics, and measure them."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_training_seed
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.files import write_json
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.structure.dynamics.gates import train_gates
from soundgate.tracks.structure.dynamics.plots import write_train_plots
from soundgate.tracks.structure.dynamics.settings import TrainSettings
from soundgate.tracks.structure.dynamics.train import STAGE, train_and_measure
from soundgate.tracks.structure.dynamics.windows import Frames
from soundgate.tracks.structure.store import load_sequences
from soundgate.training.health.settings import load_health


@stage_command("dynamics-train")
@input_option("latents", "Folder with latents.zarr.")
@input_option("frames", "The frame table.")
@output_option("out", "Folder for one model a horizon.")
@output_option("metrics", "JSON file for everything measured.")
@output_option("gates", "JSON file for the gates' verdicts.")
@output_option("plots", "Folder for the plots.")
def main(latents: Path, frames: Path, out: Path, metrics: Path, gates: Path, plots: Path) -> None:
    """Train a model for each horizon on train speakers; measure them on steps of eval speakers."""
    device = torch_device()
    settings, seed, health = load_section("dynamics.train", TrainSettings), load_training_seed(), load_health()
    deterministic_torch(seed)
    keep_freed_memory()
    scratch = open_scratch(
        STAGE,
        out,
        modules=[__spec__.name],
        params={"seed": seed, "train": settings.model_dump()},
        inputs=[latents, frames],
    )
    sequences, _ = load_sequences(latents, frames, settings.history)
    everything = Frames.of(sequences, settings.history, settings.horizons)
    numbers, curves = train_and_measure(everything, settings, seed, device, scratch.folder, scratch.result, health)
    write_json(metrics, numbers)
    write_json(gates, train_gates(numbers, settings.gates))
    write_train_plots(numbers, curves, plots)
    scratch.publish()


if __name__ == "__main__":
    main()
