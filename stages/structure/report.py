"""Decide, and write the report."""

from pathlib import Path

import click
import pandas as pd

from soundgate.corpora.index import read_index
from soundgate.runtime.config import load_section
from soundgate.runtime.files import read_json, write_json, write_text
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.structure.decision import decide, gate_verdicts
from soundgate.tracks.structure.plots import write_plots
from soundgate.tracks.structure.report import Provenance, report_markdown, report_text
from soundgate.tracks.structure.settings import DecisionSettings


@stage_command("structure-report")
@input_option("corpus", "Folder of the speech corpus, with index.parquet and rejected.csv.")
@input_option("latents", "Folder with latents_index.parquet.")
@input_option("metrics", "What structure-metrics measured.")
@input_option("curves", "The curves behind the plots.")
@click.option("--codec", required=True, help="Name of the codec, for the report's title.")
@output_option("report", "Folder for decision.json, report.md and report.txt.")
@output_option("gates", "JSON file for the gates' verdicts.")
@output_option("plots", "Folder for the plots.")
def main(
    corpus: Path,
    latents: Path,
    metrics: Path,
    curves: Path,
    codec: str,
    report: Path,
    gates: Path,
    plots: Path,
) -> None:
    """Take the seed's and the sound decision and write both, with the evidence, for people and for DVC."""
    settings = load_section("structure.report", DecisionSettings)
    numbers = read_json(metrics)
    decision = decide(numbers, settings)
    provenance = Provenance(
        codec,
        read_index(corpus),
        pd.read_csv(corpus / "rejected.csv"),
        pd.read_parquet(latents / "latents_index.parquet"),
    )
    write_plots(numbers, read_json(curves), settings, plots)
    write_json(report / "decision.json", decision)
    write_json(gates, gate_verdicts(decision))
    write_text(report / "report.md", report_markdown(numbers, decision, provenance))
    write_text(report / "report.txt", report_text(numbers, decision, provenance))


if __name__ == "__main__":
    main()
