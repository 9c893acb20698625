"""Make pairs of a raw recording and its edit."""

from pathlib import Path

from soundgate.runtime.config import check_origin, load_section, load_seed
from soundgate.runtime.files import write_json
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import input_option, origin_option, output_option, stage_command
from soundgate.tracks.editor.pairs.building import PairsSettings, build_pairs, pairs_in, songs_of


@stage_command("editor-pairs")
@input_option("songs", "Folder of the finished songs.")
@origin_option()
@output_option("out", "Folder for the audio, pairs.parquet and rejected.csv.")
@output_option("metrics", "JSON file for the counts.")
def main(songs: Path, origin: Path | None, out: Path, metrics: Path) -> None:
    """Draw an edit for every song and make the raw recording that it is the edit of, or take pairs from a folder."""
    settings, seed = load_section("editor.pairs", PairsSettings), load_seed()
    check_origin(origin, settings.origin, "editor.pairs.origin")
    found = songs_of(songs) if settings.source == "generated" else pairs_in(settings.origin)
    scratch = open_scratch(
        "editor-pairs",
        out,
        modules=[__spec__.name],
        params={"seed": seed, "pairs": settings.model_dump()},
        inputs=[songs / "index.parquet", songs / "beats.parquet", settings.origin],
    )
    found, refused = (songs_of(songs), []) if settings.source == "generated" else pairs_in(settings.origin)
    write_json(metrics, build_pairs(settings, found, seed, scratch.folder, scratch.result, refused))
    scratch.publish()


if __name__ == "__main__":
    main()
