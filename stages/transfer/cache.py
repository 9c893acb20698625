"""Cache log-mel spectrograms of chunks of every labelled track."""

from pathlib import Path

from soundgate.corpora.index import read_index
from soundgate.corpora.music import read_tracks
from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.files import write_json
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.transfer.caching import CacheSettings, build_cache
from soundgate.tracks.transfer.labels.table import read_labels


@stage_command("transfer-cache")
@input_option("music", "Folder of the music corpus.")
@input_option("speech", "Folder of the speech corpus, which is what music is told from.")
@input_option("labels", "The labels table.")
@output_option("out", "Folder for mels.npy and index.parquet.")
@output_option("metrics", "JSON file for the counts.")
def main(music: Path, speech: Path, labels: Path, out: Path, metrics: Path) -> None:
    """Cut tracks into chunks, split them by track, and write their log-mel spectrograms."""
    settings = load_section("transfer.cache", CacheSettings)
    seed = load_seed()
    tracks = read_tracks(music).set_index("track_id")["duration_s"].to_dict()
    scratch = open_scratch(
        "transfer-cache",
        out,
        modules=[__spec__.name],
        params={"seed": seed, "cache": settings.model_dump()},
        inputs=[music / "index.parquet", speech / "index.parquet", labels],
    )
    counts = build_cache(
        settings, read_labels(labels), tracks, read_index(speech), seed, scratch.folder, scratch.result
    )
    write_json(metrics, counts)
    scratch.publish()


if __name__ == "__main__":
    main()
