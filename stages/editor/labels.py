"""Label the beats of every pair."""

from pathlib import Path

import numpy as np

from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.console import logger
from soundgate.runtime.files import atomic_path, write_json, write_text
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.editor.pairs.table import read_pairs
from soundgate.tracks.editor.recovery.labelling import MAIN, label_gates, label_pairs
from soundgate.tracks.editor.recovery.scores import N_LABELS, confusion_rows
from soundgate.tracks.editor.recovery.settings import LabelsSettings
from soundgate.tracks.editor.recovery.table import LABELS_NAME


@stage_command("editor-labels")
@input_option("pairs", "Folder of the pairs.")
@output_option("out", "Folder for labels.parquet.")
@output_option("metrics", "JSON file for the table of label recovery.")
@output_option("gates", "JSON file for the verdicts.")
@output_option("confusion", "CSV file for the labels found, by true label.")
def main(pairs: Path, out: Path, metrics: Path, gates: Path, confusion: Path) -> None:
    """Label every beat, by the truth where it is known, and measure how well labels are told from audio alone.

    Where of no test pair the truth is known, labels are recovered; there are no measurements, and no gates.
    """
    settings, seed = load_section("editor.labels", LabelsSettings), load_seed()
    scratch = open_scratch(
        "editor-labels",
        out,
        modules=[__spec__.name],
        params={"seed": seed, "labels": settings.model_dump()},
        inputs=[pairs],
    )
    table, measured = label_pairs(settings, read_pairs(pairs), seed, scratch.folder)
    with atomic_path(scratch.result / LABELS_NAME) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")
    if not measured:
        logger.warning("editor-labels: of no test pair the edit is known: labels are recovered, no gate can be judged")
    told = measured[MAIN]["recovered"]["confusion"] if measured else np.zeros((N_LABELS, N_LABELS), int)
    write_text(confusion, confusion_rows(told).to_csv(index=False, lineterminator="\n"))
    write_json(metrics, jsonable(measured))
    write_json(gates, label_gates(measured, settings.thresholds) if measured else {})
    scratch.publish()


if __name__ == "__main__":
    main()
