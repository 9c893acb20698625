"""Train the held-out judges of content and style."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_training_seed
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.judge.measures import measure_judges
from soundgate.tracks.transfer.judge.scoring import Judges
from soundgate.tracks.transfer.judge.style_fit import fit_style_judge
from soundgate.tracks.transfer.judge.task import STAGE, JudgeSettings, JudgeTask
from soundgate.training.health.settings import load_health
from soundgate.training.history import write_history
from soundgate.training.loop import fit, work_params


@stage_command("transfer-judge")
@input_option("cache", "Folder of the chunk cache.")
@output_option("out", "Folder for the judges.")
@output_option("metrics", "JSON file for how good they are.")
@output_option("history", "CSV file for the training curves of the judge of content.")
def main(cache: Path, out: Path, metrics: Path, history: Path) -> None:
    """Train judges on tracks that nothing else is trained on; they score transfers and never give a loss."""
    settings, seed = load_section("transfer.judge", JudgeSettings), load_training_seed()
    health = load_health()
    deterministic_torch(seed)
    keep_freed_memory()
    chunks = ChunkCache.open(cache)
    scratch = open_scratch(
        "transfer-judge",
        out,
        modules=[__spec__.name],
        params={"seed": seed, "judge": work_params(settings)},
        inputs=[cache],
    )
    rows = chunks.rows("judge")
    n_items, n_genres = len(rows), chunks.index["genre"].iloc[rows].nunique()
    if n_genres < 2:
        found = f"{n_items} chunks of {n_genres} genres"
        raise CorpusError("transfer-cache", expected="tracks of two genres set apart for the judges", found=found)
    n_steps = settings.loop.n_steps(n_items)
    task = JudgeTask(chunks, settings, seed, n_steps, torch_device())
    checkpoint = scratch.folder / "checkpoint.pt"
    epochs = fit(task, settings.loop, n_items, seed=seed, name=STAGE, checkpoint=checkpoint, health=health)
    judges = Judges(task.judge.cpu().requires_grad_(False).eval(), fit_style_judge(chunks, settings.n_copies, seed))
    judges.save(scratch.result)
    write_json(metrics, jsonable(measure_judges(chunks, judges, seed, settings.n_bootstrap)))
    write_history(history, epochs)
    scratch.publish()


if __name__ == "__main__":
    main()
