"""Gather a track's gates."""

from pathlib import Path

from soundgate.pipeline.gathering import GateSources, write_track
from soundgate.runtime.config import load_section
from soundgate.runtime.stage import input_option, output_option, stage_command


@stage_command("gates-summary")
@input_option("track", "The track's folder, metrics/<profile>/<track>; gates, summary and spread are written there.")
@input_option("seeds", "The profile's folder of runs with other seeds of training.")
@output_option("table", "The CSV file to write: one row for each gate, with its margin.")
def main(track: Path, seeds: Path, table: Path) -> None:
    """Judge a track's gates and count them. A failed gate does not fail the stage; `soundgate gates --strict` does."""
    write_track(load_section(f"gates.{track.name}", GateSources), track, seeds, table)


if __name__ == "__main__":
    main()
