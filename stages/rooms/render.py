"""Render the plan."""

from pathlib import Path

from soundgate.runtime.config import load_section
from soundgate.runtime.files import sha256_of
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import input_option, output_option, stage_command
from soundgate.tracks.rooms.chain import ChainSettings, earlier_batches
from soundgate.tracks.rooms.plan import PLAN_NAME
from soundgate.tracks.rooms.rendering import RenderSettings, RunFolder, render


@stage_command("rooms-render")
@input_option("irs", "Folder of the impulse responses and their catalogue.")
@input_option("embeddings", "Folder of the target rooms' embeddings.")
@input_option("vocals", "Folder of the sterilised segments.")
@input_option("plan", "Folder of the plan.")
@output_option("out", "Folder for the batches and checkpoint.json.")
def main(irs: Path, embeddings: Path, vocals: Path, plan: Path, out: Path) -> None:
    """Render the planned triples into hashed batches, up to the budget; killed, the next run goes on."""
    settings = load_section("rooms.render", RenderSettings)
    chain = load_section("rooms.chain", ChainSettings)
    earlier, run_number = earlier_batches(chain, sha256_of(plan / PLAN_NAME))
    scratch = open_scratch(
        "rooms-render",
        out,
        modules=[__spec__.name],
        params=settings.model_dump(exclude={"budget_gb"}) | {"earlier": earlier, "run_number": run_number},
        inputs=[irs, embeddings, vocals, plan],
    )
    render(RunFolder(irs, embeddings, vocals, plan), scratch.result, settings, earlier, run_number)
    scratch.publish()


if __name__ == "__main__":
    main()
