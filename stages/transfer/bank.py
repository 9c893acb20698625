"""Train the judge of style in latents, and keep its embeddings of train items as the style bank."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_training_seed
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.codec.bank import build_bank, measure_bank
from soundgate.tracks.transfer.codec.judge import STAGE, JudgeTask, embed_latents
from soundgate.tracks.transfer.codec.latents import LatentCache
from soundgate.tracks.transfer.codec.settings import BankSettings
from soundgate.tracks.transfer.run_folder import history_table
from soundgate.training.health.settings import load_health
from soundgate.training.history import write_history
from soundgate.training.loop import fit, work_params


@stage_command("transfer-bank")
@input_option("cache", "Folder of the chunk cache.")
@input_option("latents", "Folder of the codec's latents.")
@output_option("out", "Folder for the judge and the bank.")
@output_option("metrics", "JSON file for what the bank is judged by.")
@output_option("history", "CSV file for the training curves.")
def main(cache: Path, latents: Path, out: Path, metrics: Path, history: Path) -> None:
    """Train the latent judge on the train tracks; measure its centroids on tracks it never saw."""
    settings, seed = load_section("transfer.bank", BankSettings), load_training_seed()
    health = load_health()
    deterministic_torch(seed)
    keep_freed_memory()
    device = torch_device()
    chunks, frames = ChunkCache.open(cache), LatentCache.open(latents)
    scratch = open_scratch(
        "transfer-bank",
        out,
        modules=[__spec__.name],
        params={"seed": seed, "bank": work_params(settings)},
        inputs=[cache, latents],
    )
    n_items = len(chunks.rows("train"))
    task = JudgeTask(chunks, frames, settings, seed, settings.loop.n_steps(n_items), device)
    checkpoint = scratch.folder / "checkpoint.pt"
    rows = fit(task, settings.loop, n_items, seed=seed, name=STAGE, checkpoint=checkpoint, health=health)
    judge = task.judge.requires_grad_(False).eval()
    bank = build_bank(chunks, judge, embed_latents(judge, frames, len(chunks.index), device), settings)
    bank.save(scratch.result)
    write_json(metrics, jsonable(measure_bank(chunks, bank, settings, seed)))
    write_history(history, history_table({1: rows}))
    scratch.publish()


if __name__ == "__main__":
    main()
