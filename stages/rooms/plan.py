"""Draw every triple."""

from pathlib import Path

import pandas as pd

from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.files import atomic_path
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.rooms.irs import load_catalogue
from soundgate.tracks.rooms.plan import PlanSettings, build_plan


@stage_command("rooms-plan")
@input_option("irs", "Folder of the impulse responses and their catalogue.")
@input_option("vocals", "Folder of the sterilised segments.")
@output_option("out", "Folder for plan.parquet.")
def main(irs: Path, vocals: Path, out: Path) -> None:
    """Draw what every triple is made of: voice, rooms, wetness, degradations; speakers and rooms split first."""
    settings = load_section("rooms.plan", PlanSettings)
    segments = pd.read_parquet(vocals / "segments.parquet")
    plan = build_plan(segments, load_catalogue(irs).entries, settings, load_seed())
    with atomic_path(out / "plan.parquet") as temporary:
        plan.to_parquet(temporary, index=False)


if __name__ == "__main__":
    main()
