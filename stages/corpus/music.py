"""Build the music corpus."""

import shutil
from pathlib import Path

from soundgate.corpora.music import MusicSettings, build_music_corpus
from soundgate.runtime.config import check_origin, load_section
from soundgate.runtime.stage import origin_option, output_option, stage_command


@stage_command("corpus-music")
@origin_option()
@output_option("out", "Folder for the audio, the index, rejected.csv, the tracks and the truth of scores.")
def main(origin: Path | None, out: Path) -> None:
    """Build the music corpus: audio, an index of tracks, and what is known of their scores, styles and sources."""
    settings = load_section("corpus.music", MusicSettings)
    check_origin(origin, settings.origin, "corpus.music.origin")
    # The index names the audio by its final path, so it is made there.
    shutil.rmtree(out, ignore_errors=True)
    build_music_corpus(settings, out)


if __name__ == "__main__":
    main()
