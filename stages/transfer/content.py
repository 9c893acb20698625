"""Lab 1: train the analysis of content and style, and measure it."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_training_seed
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.files import atomic_path, write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.npz import write_npz
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.content.measures import embed, measure_content
from soundgate.tracks.transfer.content.model import save_content
from soundgate.tracks.transfer.content.settings import ContentSettings
from soundgate.tracks.transfer.content.train import train_content
from soundgate.training.health.settings import load_health
from soundgate.training.history import write_history
from soundgate.training.loop import work_params


@stage_command("transfer-content")
@input_option("cache", "Folder of the chunk cache.")
@output_option("out", "Folder for the model and the embeddings of every chunk.")
@output_option("metrics", "JSON file for what Lab 1 is judged by.")
@output_option("history", "CSV file for the training curves.")
def main(cache: Path, out: Path, metrics: Path, history: Path) -> None:
    """Train the analysis network on the train tracks; measure it on tracks it never saw."""
    settings, seed = load_section("transfer.content", ContentSettings), load_training_seed()
    health = load_health()
    deterministic_torch(seed)
    keep_freed_memory()
    device = torch_device()
    chunks = ChunkCache.open(cache)
    scratch = open_scratch(
        "transfer-content",
        out,
        modules=[__spec__.name],
        params={"seed": seed, "content": work_params(settings)},
        inputs=[cache],
    )
    model, rows = train_content(chunks, settings, seed, device, scratch.folder / "checkpoint.pt", health)
    embeddings = embed(model, chunks, device)
    measured = measure_content(model, chunks, embeddings, device, seed, settings.n_bootstrap)
    save_content(scratch.result, model)
    with atomic_path(scratch.result / "embeddings.npz") as temporary:
        write_npz(temporary, embeddings)
    write_json(metrics, jsonable(measured))
    write_history(history, rows)
    scratch.publish()


if __name__ == "__main__":
    main()
