"""Build the speech corpus of track voice alone."""

import shutil
from pathlib import Path

from soundgate.corpora.speech import SpeechSettings, build_speech_corpus
from soundgate.runtime.config import check_origin, load_section
from soundgate.runtime.scratch import downloads_folder
from soundgate.runtime.stage import origin_option, output_option, stage_command


@stage_command("voice-speech")
@origin_option()
@output_option("out", "Folder for the audio, index.parquet and rejected.csv.")
def main(origin: Path | None, out: Path) -> None:
    """Build a speech corpus of other speakers, or more of them, than the tracks share."""
    settings = load_section("voice.speech", SpeechSettings)
    check_origin(origin, settings.origin, "voice.speech.origin")
    # The index names the audio by its final path, so it is made there; only downloads outlive a kill.
    shutil.rmtree(out, ignore_errors=True)
    build_speech_corpus(settings, out, downloads_folder("corpus-speech"))


if __name__ == "__main__":
    main()
