"""Cache log-mel features, targets and beats of every pair."""

from pathlib import Path

from soundgate.runtime.config import load_section
from soundgate.runtime.files import write_json
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.editor.caching import CacheSettings, build_cache
from soundgate.tracks.editor.pairs.table import read_pairs
from soundgate.tracks.editor.recovery.table import read_labels


@stage_command("editor-cache")
@input_option("pairs", "Folder of the pairs.")
@input_option("labels", "Folder of the labels.")
@output_option("out", "Folder for raw.npy, target.npy, index.parquet and features.json.")
@output_option("metrics", "JSON file for the counts.")
def main(pairs: Path, labels: Path, out: Path, metrics: Path) -> None:
    """Write the raw recordings' spectrograms and what the edits make of them, beat by beat."""
    settings = load_section("editor.cache", CacheSettings)
    scratch = open_scratch(
        "editor-cache",
        out,
        modules=[__spec__.name],
        params={"cache": settings.model_dump()},
        inputs=[pairs, labels],
    )
    counts = build_cache(settings, read_pairs(pairs), read_labels(labels), scratch.folder, scratch.result)
    write_json(metrics, counts)
    scratch.publish()


if __name__ == "__main__":
    main()
