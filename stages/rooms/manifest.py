"""Hash, measure and judge a run."""

from pathlib import Path

import pandas as pd

from soundgate.evaluation.gates import judge
from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.console import logger
from soundgate.runtime.files import write_json
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.rooms.irs import load_catalogue
from soundgate.tracks.rooms.manifest import build_manifest, closing_message
from soundgate.tracks.rooms.measures import (
    GateSettings,
    StoredAudio,
    all_rejections,
    measure_run,
    read_triples,
    rejections,
    run_gates,
)
from soundgate.tracks.rooms.plots import write_plots
from soundgate.tracks.rooms.probing import probe_embeddings
from soundgate.tracks.rooms.rendering import RunFolder
from soundgate.tracks.rooms.segments import load_segments
from soundgate.tracks.rooms.stored import chosen, stored_bandwidths, stored_levels, stored_rooms, stored_triples


@stage_command("rooms-manifest")
@input_option("irs", "Folder of the impulse responses and their catalogue.")
@input_option("embeddings", "Folder of the target rooms' embeddings.")
@input_option("vocals", "Folder of the sterilised segments.")
@input_option("plan", "Folder of the plan.")
@input_option("batches", "Folder of the batches.")
@output_option("manifest", "JSON file: totals, shapes, and the hash of every file of the run.")
@output_option("metrics", "JSON file for what was measured.")
@output_option("gates", "JSON file for the gates' verdicts.")
@output_option("plots", "Folder for the plots.")
def main(
    irs: Path, embeddings: Path, vocals: Path, plan: Path, batches: Path,
    manifest: Path, metrics: Path, gates: Path, plots: Path,
) -> None:  # fmt: skip
    """Verify and describe a run, measure what it stored, and say how to go on."""
    settings, seed = load_section("rooms.manifest", GateSettings), load_seed()
    catalogue, segments = load_catalogue(irs), load_segments(vocals)
    described = build_manifest(RunFolder(irs, embeddings, vocals, plan), batches, segments.sample_rate)
    triples, effects = read_triples(batches, described)
    known, embeddings = stored_triples(batches, described)
    some = chosen(known, settings.n_stored, seed, "triples")
    stored = StoredAudio(
        levels=stored_levels(irs, vocals, batches, some),
        rooms=stored_rooms(irs, vocals, batches, known, settings.n_stored),
        bandwidths=stored_bandwidths(batches, some, segments.sample_rate),
        embeddings=probe_embeddings(known, embeddings, catalogue.entries, seed),
    )
    voices = pd.read_parquet(vocals / "files.parquet")
    measured = measure_run(batches, described, triples, stored, voices, segments.samples, settings, seed)
    rejected = all_rejections(catalogue.rejected, voices, rejections(batches, described))
    write_plots(triples, effects, stored, rejected, segments.sample_rate, plots)
    write_json(metrics, measured | {"rejected": rejected})
    write_json(gates, judge(measured, run_gates(settings, measured)))
    write_json(manifest, described)
    logger.info("%s", closing_message(described, manifest.parent))
    if damaged := measured["hashes"]["mismatched"]:
        logger.warning("damaged: %s. Run dvc repro: what is damaged is rendered again.", ", ".join(damaged))


if __name__ == "__main__":
    main()
