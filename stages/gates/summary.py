"""Gather a track's gates."""

from pathlib import Path

import click

from soundgate.evaluation.gates import count_verdicts
from soundgate.evaluation.spread import with_spreads
from soundgate.pipeline.gate_files import TRACKS
from soundgate.pipeline.gathering import GateSources, gate_table, gather
from soundgate.pipeline.seeds.records import Trained, measured_spread, read_records
from soundgate.runtime.config import load_section
from soundgate.runtime.files import write_json, write_text
from soundgate.runtime.stage import input_option, output_option, stage_command


@stage_command("gates-summary")
@click.option("--track", type=click.Choice(TRACKS), required=True, help="The track.")
@input_option("run", "Folder in which the track's stages wrote the gates of one run.")
@input_option("seeds", "The profile's folder of runs with other seeds of training.")
@output_option("gates", "JSON file for the verdicts by gate.")
@output_option("summary", "JSON file for how many there are of each verdict.")
@output_option("spread", "JSON file for the spread of each gate over seeds.")
@output_option("table", "CSV file with one row for each gate.")
def main(track: str, run: Path, seeds: Path, gates: Path, summary: Path, spread: Path, table: Path) -> None:
    """Judge a track's gates and count them. A failed gate does not fail the stage; `soundgate gates --strict` does."""
    sources = load_section(f"gates.{track}", GateSources)
    measured = gather(sources, run)
    over_seeds = measured_spread(read_records(seeds / track), Trained(sources.trained), measured)
    judged = with_spreads(measured, over_seeds["gates"])
    write_json(gates, judged)
    write_json(summary, count_verdicts(judged))
    write_json(spread, over_seeds)
    write_text(table, gate_table(judged).to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    main()
