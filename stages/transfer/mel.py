"""Lab 3 on mels: train the generator, stage 1 and stage 2."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_training_seed
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.content.model import load_content
from soundgate.tracks.transfer.mel.settings import MelTransferSettings
from soundgate.tracks.transfer.mel.task import Frozen
from soundgate.tracks.transfer.mel.train import train_mel
from soundgate.tracks.transfer.run_folder import RunFolder
from soundgate.tracks.transfer.style.targets import StyleTargets
from soundgate.training.health.settings import load_health
from soundgate.training.history import write_history


@stage_command("transfer-mel")
@input_option("cache", "Folder of the chunk cache.")
@input_option("content", "Folder of Lab 1's model.")
@input_option("style", "Folder of Lab 2's target vectors.")
@output_option("out", "Folder of the run: model, checkpoints, run_state.json, history.csv.")
@output_option("history", "CSV file for the training curves.")
def main(cache: Path, content: Path, style: Path, out: Path, history: Path) -> None:
    """Train the mel generator on its own styles, then on the others'; killed, the next run goes on."""
    settings, seed = load_section("transfer.mel", MelTransferSettings), load_training_seed()
    health = load_health()
    deterministic_torch(seed)
    keep_freed_memory()
    device = torch_device()
    frozen = Frozen(ChunkCache.open(cache), load_content(content).to(device), StyleTargets.open(style), device)
    scratch = open_scratch(
        "transfer-mel",
        out,
        modules=[__spec__.name],
        params={"seed": seed, "mel": settings.model_dump(mode="json")},
        inputs=[cache, content, style],
    )
    write_history(history, train_mel(frozen, settings, seed, RunFolder(scratch.result), health))
    scratch.publish()


if __name__ == "__main__":
    main()
