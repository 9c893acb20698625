"""Prepare and measure the impulse responses."""

import shutil
from pathlib import Path

import pandas as pd

from soundgate.corpora.index import INDEX_NAME, REJECTED_NAME, read_index
from soundgate.runtime.config import load_section
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.rooms.chain import ChainSettings, reuse_part
from soundgate.tracks.rooms.irs import IrSettings, build_catalogue


@stage_command("rooms-irs")
@input_option("bad", "Folder of the corpus of bad rooms, with index.parquet and rejected.csv.")
@input_option("target", "Folder of the corpus of target rooms, likewise.")
@output_option("out", "Folder for irs.npy and ir_catalogue.json.")
def main(bad: Path, target: Path, out: Path) -> None:
    """Align every impulse response at its direct sound, normalise and measure it, and say why others are left out."""
    settings = load_section("rooms.irs", IrSettings)
    if reuse_part(load_section("rooms.chain", ChainSettings), "catalogue", out):
        return
    pools = {"bad": bad, "target": target}
    scratch = open_scratch(
        "rooms-irs",
        out,
        modules=[__spec__.name],
        params=settings.model_dump(),
        inputs=[folder / name for folder in pools.values() for name in (INDEX_NAME, REJECTED_NAME)],
    )
    shutil.rmtree(scratch.result, ignore_errors=True)
    build_catalogue(
        {pool: read_index(folder) for pool, folder in pools.items()},
        pd.concat([pd.read_csv(folder / REJECTED_NAME) for folder in pools.values()]),
        scratch.result,
        settings,
    )
    scratch.publish()


if __name__ == "__main__":
    main()
