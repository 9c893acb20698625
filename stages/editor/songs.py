"""Build the finished songs that pairs are made of."""

import shutil
from pathlib import Path

from soundgate.corpora.music import MusicSettings, build_music_corpus
from soundgate.runtime.config import check_origin, load_section
from soundgate.runtime.stage import origin_option, output_option, stage_command


@stage_command("editor-songs")
@origin_option()
@output_option("out", "Folder for the audio, the index, rejected.csv, the tracks and the truth of scores.")
def main(origin: Path | None, out: Path) -> None:
    """Build a music corpus of whole songs: tracks of the music corpus are too short to be edited."""
    settings = load_section("editor.songs", MusicSettings)
    check_origin(origin, settings.origin, "editor.songs.origin")
    # The index names the audio by its final path, so it is made there.
    shutil.rmtree(out, ignore_errors=True)
    build_music_corpus(settings, out)


if __name__ == "__main__":
    main()
