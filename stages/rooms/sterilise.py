"""Make dry, clean, equally loud clips of the voices."""

from pathlib import Path

from soundgate.corpora.index import INDEX_NAME, REJECTED_NAME
from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.rooms.chain import ChainSettings, reuse_part
from soundgate.tracks.rooms.sterilise import SteriliseSettings, sterilise


@stage_command("rooms-sterilise")
@input_option("voices", "Folder whose sub-folders are corpora of voices, each with index.parquet.")
@output_option("out", "Folder for the shards, segments.parquet, files.parquet and sterilise_state.json.")
def main(voices: Path, out: Path) -> None:
    """Take noise and silent ends off every voice and cut it into clips; killed, go on from the last shard."""
    settings = load_section("rooms.sterilise", SteriliseSettings)
    if reuse_part(load_section("rooms.chain", ChainSettings), "vocals", out):
        return
    seed = load_seed()
    scratch = open_scratch(
        "rooms-sterilise",
        out,
        modules=[__spec__.name],
        # The budget decides how many shards there are, not what is in them: with a larger one the work goes on.
        params=settings.model_dump(exclude={"budget_gb"}) | {"seed": seed},
        inputs=sorted(path for name in (INDEX_NAME, REJECTED_NAME) for path in voices.glob(f"*/{name}")),
    )
    sterilise(voices, scratch.result, scratch.folder / "parts", settings, seed)
    scratch.publish()


if __name__ == "__main__":
    main()
