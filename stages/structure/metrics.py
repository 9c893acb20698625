"""Measure what the conditions explain."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.files import atomic_path, write_json
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.structure.analysis import analyse
from soundgate.tracks.structure.scoring import INNOVATIONS
from soundgate.tracks.structure.settings import ConditioningSettings, MetricsSettings
from soundgate.tracks.structure.store import load_conditioning, load_sequences
from soundgate.tracks.structure.tables import metrics_table


@stage_command("structure-metrics")
@input_option("latents", "Folder with latents.zarr.")
@input_option("frames", "The frame table, frames.parquet.")
@input_option("conditioning", "Folder of the fitted conditions.")
@output_option("metrics", "JSON file for everything measured.")
@output_option("tables", "CSV file with one row for each condition and lag.")
@output_option("curves", "JSON file for the curves behind the plots.")
def main(latents: Path, frames: Path, conditioning: Path, metrics: Path, tables: Path, curves: Path) -> None:
    """Measure the seed's numbers and the sound ones for every condition and lag, with nulls and intervals."""
    seed = load_seed()
    deterministic_torch(seed)
    conditions = load_section("structure.conditioning", ConditioningSettings)
    settings = load_section("structure.metrics", MetricsSettings)
    sequences, speakers = load_sequences(latents, frames, conditions.history)
    fitted = load_conditioning(conditioning, sequences.n_frames)
    scratch = open_scratch(
        "structure-metrics",
        metrics,
        modules=[__spec__.name],
        params={"seed": seed, "conditioning": conditions.model_dump(), "metrics": settings.model_dump()},
        inputs=[latents, frames, conditioning],
    )
    numbers, lines = analyse(sequences, fitted, conditions, settings, seed, scratch.folder)
    write_json(curves, lines | {"speaker_names": speakers})
    with atomic_path(tables) as temporary:
        metrics_table(numbers).to_csv(temporary, index=False)
    write_json(scratch.result, numbers)
    scratch.publish()
    (scratch.folder / INNOVATIONS).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
