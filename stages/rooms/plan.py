"""Draw every triple."""

from pathlib import Path

import pandas as pd

from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.files import write_json
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.rooms.irs import load_catalogue
from soundgate.tracks.rooms.plan import DRAWN_NAME, PLAN_NAME, Draws, PlanSettings, write_plan


@stage_command("rooms-plan")
@input_option("irs", "Folder of the impulse responses and their catalogue.")
@input_option("vocals", "Folder of the sterilised segments.")
@output_option("out", "Folder for plan.parquet, and drawn.json: by what it was drawn.")
def main(irs: Path, vocals: Path, out: Path) -> None:
    """Draw what every triple is made of: voice, rooms, wetness, degradations; speakers and rooms split first."""
    settings = load_section("rooms.plan", PlanSettings)
    segments = pd.read_parquet(vocals / "segments.parquet")
    write_plan(out / PLAN_NAME, Draws(segments, load_catalogue(irs).entries, settings, load_seed()), settings)
    write_json(out / DRAWN_NAME, {"seed": load_seed(), "settings": settings.model_dump()})


if __name__ == "__main__":
    main()
