"""Label every track of the music corpus."""

from pathlib import Path

from soundgate.corpora.music import read_tracks
from soundgate.runtime.config import load_section, load_seed, parse_section, read_section
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import Ledger, jsonable
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.transfer.labels.build import build_labels
from soundgate.tracks.transfer.labels.outside import open_analysis, outside_hashes
from soundgate.tracks.transfer.labels.settings import LabelSettings
from soundgate.tracks.transfer.labels.table import write_labels
from soundgate.tracks.transfer.labels.zero_shot import AudioTextModel

LABELS_FILE = "labels.csv"


@stage_command("transfer-labels")
@input_option("music", "Folder of the music corpus.")
@output_option("out", "CSV file for the labels table.")
@output_option("metrics", "JSON file for the counts, and how far genre and source are one.")
def main(music: Path, out: Path, metrics: Path) -> None:
    """Give every track a genre and a source, and choose the tracks that are used; nothing is left out silently."""
    settings, seed = load_section("transfer.labels", LabelSettings), load_seed()
    deterministic_torch(seed)
    by_clap = settings.genre_schema == "clap"
    clap_settings = read_section("embedder.clap") if by_clap else {}
    hashes = outside_hashes(settings)
    scratch = open_scratch(
        "transfer-labels",
        out,
        modules=[__spec__.name],
        params={"seed": seed, "labels": settings.model_dump(mode="json"), "clap": clap_settings, "outside": hashes},
        inputs=[music / "index.parquet", music / "tracks.parquet"],
    )
    table, report = build_labels(
        settings,
        read_tracks(music),
        seed,
        clap=_clap(clap_settings) if by_clap else None,
        analysis=open_analysis(settings),
        ledger=Ledger(scratch.folder / "heard"),
    )
    write_labels(scratch.result / LABELS_FILE, table)
    write_json(metrics, jsonable(report | {"outside_sha256": hashes}))
    scratch.publish(scratch.result / LABELS_FILE)


def _clap(settings: dict) -> AudioTextModel:
    # Imported here: the library behind it takes seconds to load, and one schema needs it.
    from soundgate.embeddings.clap import Settings, load

    return load(parse_section("embedder.clap", settings, Settings))


if __name__ == "__main__":
    main()
