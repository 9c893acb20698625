"""Cache samples and fundamentals of some utterances of every speaker."""

from pathlib import Path

from soundgate.corpora.index import INDEX_NAME, read_index
from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.files import write_json
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.voice.caching import STAGE, CacheSettings, build_cache


@stage_command(STAGE)
@input_option("speech", "Folder of the speech corpus.")
@output_option("out", "Folder for the cache.")
@output_option("metrics", "JSON file for the counts.")
def main(speech: Path, out: Path, metrics: Path) -> None:
    """Divide the speakers into splits and pack what the trainings read of them."""
    settings, seed = load_section("voice.cache", CacheSettings), load_seed()
    scratch = open_scratch(
        STAGE,
        out,
        modules=[__spec__.name],
        params={"seed": seed, "cache": settings.model_dump()},
        inputs=[speech / INDEX_NAME],
    )
    counts = build_cache(settings, read_index(speech), seed, scratch.folder, scratch.result)
    write_json(metrics, counts)
    scratch.publish()


if __name__ == "__main__":
    main()
