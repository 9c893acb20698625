"""The injection diagnostic: one-step error or compounding drift?"""

from pathlib import Path

from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.device import torch_device
from soundgate.runtime.files import write_json
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.structure.dynamics.gates import inject_gates
from soundgate.tracks.structure.dynamics.injecting import diagnose
from soundgate.tracks.structure.dynamics.plots import write_inject_plots
from soundgate.tracks.structure.dynamics.settings import InjectSettings
from soundgate.tracks.structure.dynamics.train import trained_models
from soundgate.tracks.structure.dynamics.windows import Frames
from soundgate.tracks.structure.store import load_sequences


@stage_command("dynamics-inject")
@input_option("latents", "Folder with latents.zarr.")
@input_option("frames", "The frame table.")
@input_option("models", "Folder of the trained models.")
@output_option("metrics", "JSON file for everything measured.")
@output_option("gates", "JSON file for the gates' verdicts.")
@output_option("plots", "Folder for the plots.")
def main(latents: Path, frames: Path, models: Path, metrics: Path, gates: Path, plots: Path) -> None:
    """Run the model of one step with the true state put back always, often, once and never; score its free runs."""
    device = torch_device()
    settings, seed = load_section("dynamics.inject", InjectSettings), load_seed()
    deterministic_torch(seed)
    trained = {k: model.to(device) for k, model in trained_models(models).items()}
    window = trained[1].config["window"]
    history = window + max(trained) - 1
    sequences, _ = load_sequences(latents, frames, history)
    everything = Frames.of(sequences, history, tuple(trained))
    linear = {k: model.linear for k, model in trained.items()}
    numbers = diagnose(trained, linear, everything, window, settings, seed, device)
    write_json(metrics, numbers)
    write_json(gates, inject_gates(numbers, settings.gates))
    write_inject_plots(numbers, plots)


if __name__ == "__main__":
    main()
