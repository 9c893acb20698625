"""Compare the dynamics of two codecs' latents of the same speech."""

from pathlib import Path

import click

from soundgate.codecs.latent_store import LatentStore
from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.files import write_json
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.structure.dynamics.comparing import STAGE, Representation, compare, history_of
from soundgate.tracks.structure.dynamics.plots import write_compare_plots
from soundgate.tracks.structure.dynamics.settings import CompareSettings
from soundgate.tracks.structure.dynamics.windows import Frames
from soundgate.tracks.structure.store import load_sequences
from soundgate.training.health.settings import load_health


@stage_command("dynamics-compare")
@input_option("first", "Folder of the first codec's latents.")
@input_option("first-frames", "Their frame table.")
@input_option("second", "Folder of the second codec's latents.")
@input_option("second-frames", "Their frame table.")
@click.option("--names", required=True, help="Names of both, with a comma between them.")
@output_option("metrics", "JSON file for everything measured.")
@output_option("plots", "Folder for the plots.")
def main(
    first: Path, first_frames: Path, second: Path, second_frames: Path, names: str, metrics: Path, plots: Path
) -> None:
    """Fit every family on both codecs, at matched frames and matched duration of context."""
    device = torch_device()
    settings, seed = load_section("dynamics.compare", CompareSettings), load_seed()
    deterministic_torch(seed)
    keep_freed_memory()
    scratch = open_scratch(
        STAGE,
        metrics,
        modules=[__spec__.name],
        params={"seed": seed, "compare": settings.model_dump(), "names": names},
        inputs=[first, first_frames, second, second_frames],
    )
    pair = tuple(
        _read(name, latents, frames, settings)
        for name, latents, frames in zip(names.split(","), (first, second), (first_frames, second_frames), strict=True)
    )
    numbers, curves = compare(pair, settings, seed, device, scratch.folder, load_health())
    write_compare_plots(numbers, curves, plots)
    write_json(scratch.result, numbers)
    scratch.publish()


def _read(name: str, latents: Path, frames: Path, settings: CompareSettings) -> Representation:
    rate = LatentStore.open(latents).frame_rate
    history = history_of(settings, rate)
    sequences, speakers = load_sequences(latents, frames, history)
    return Representation(name, Frames.of(sequences, history), speakers, rate)


if __name__ == "__main__":
    main()
