"""Compare the arms that were run: nothing is trained here."""

from pathlib import Path

from soundgate.runtime.config import load_section
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.voice.ablations.outputs import write_comparison
from soundgate.tracks.voice.ablations.settings import ComparisonSettings


@stage_command("voice-ablations")
@input_option("runs", "Folder of the collected runs of a profile.")
@output_option("table", "CSV file for the comparison.")
@output_option("report", "Markdown file for the comparison.")
@output_option("plot", "CSV file for the effect sizes.")
@output_option("picture", "PNG file for the comparison.")
def main(runs: Path, table: Path, report: Path, plot: Path, picture: Path) -> None:
    """Hold every collected arm against the baseline on fixed measures; with none collected, say so."""
    write_comparison(load_section("voice.ablations", ComparisonSettings), runs, table, report, plot, picture)


if __name__ == "__main__":
    main()
