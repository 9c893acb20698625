"""Phase 1: train the network that does what labels say."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_training_seed
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.editor.cache import PairCache
from soundgate.tracks.editor.reconstruct.model import save_reconstruction
from soundgate.tracks.editor.reconstruct.settings import ReconstructionSettings
from soundgate.tracks.editor.reconstruct.train import measure_reconstruction, train_reconstruction
from soundgate.training.health.settings import load_health
from soundgate.training.history import write_history
from soundgate.training.loop import work_params


@stage_command("editor-reconstruct")
@input_option("cache", "Folder of the cache of pairs.")
@output_option("out", "Folder for the model.")
@output_option("metrics", "JSON file for what it is measured by.")
@output_option("history", "CSV file for the training curves.")
def main(cache: Path, out: Path, metrics: Path, history: Path) -> None:
    """Train on the train pairs with their own labels and with drawn ones; measure on pairs it never saw."""
    settings, seed = load_section("editor.reconstruction", ReconstructionSettings), load_training_seed()
    health = load_health()
    deterministic_torch(seed)
    keep_freed_memory()
    device = torch_device()
    pairs = PairCache.open(cache)
    scratch = open_scratch(
        "editor-reconstruct",
        out,
        modules=[__spec__.name],
        params={"seed": seed, "reconstruction": work_params(settings)},
        inputs=[cache],
    )
    model, rows = train_reconstruction(pairs, settings, seed, device, scratch.folder / "checkpoint.pt", health)
    save_reconstruction(scratch.result, model)
    write_json(metrics, jsonable(measure_reconstruction(model, pairs, seed)))
    write_history(history, rows)
    scratch.publish()


if __name__ == "__main__":
    main()
