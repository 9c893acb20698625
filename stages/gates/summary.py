"""Gather every track's gate verdicts."""

from pathlib import Path

from soundgate.pipeline.gates import SummarySettings, write_summary
from soundgate.runtime.config import load_section
from soundgate.runtime.stage import input_option, output_option, stage_command


@stage_command("gates-summary")
@input_option("track", "Folder with a track's gates, metrics/<profile>/<track>; once for each track.", multiple=True)
@output_option("summary", "The JSON file to write: counts, and one pass for each track.")
@output_option("table", "The CSV file to write: one row for each gate, with its margin.")
def main(track: tuple[Path, ...], summary: Path, table: Path) -> None:
    """Count the gates that pass. A failed gate does not fail the stage; `soundgate gates --strict` does."""
    write_summary(load_section("gates.summary", SummarySettings), track, summary, table)


if __name__ == "__main__":
    main()
