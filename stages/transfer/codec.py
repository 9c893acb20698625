"""Lab 3 on codec latents: train the translator, stages 1 to 3."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_training_seed
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.caching import CacheSettings
from soundgate.tracks.transfer.codec.bank import StyleBank
from soundgate.tracks.transfer.codec.latents import LatentCache
from soundgate.tracks.transfer.codec.settings import CodecTransferSettings
from soundgate.tracks.transfer.codec.sound import sound_of
from soundgate.tracks.transfer.codec.task import Frozen
from soundgate.tracks.transfer.codec.train import train_codec
from soundgate.tracks.transfer.content.model import load_content
from soundgate.tracks.transfer.mel.model import load_mel_model
from soundgate.tracks.transfer.run_folder import RunFolder
from soundgate.tracks.transfer.style.targets import StyleTargets
from soundgate.training.health.settings import load_health
from soundgate.training.history import write_history


@stage_command("transfer-codec")
@input_option("cache", "Folder of the chunk cache.")
@input_option("latents", "Folder of the codec's latents.")
@input_option("content", "Folder of Lab 1's model.")
@input_option("style", "Folder of Lab 2's target vectors.")
@input_option("bank", "Folder of the style bank.")
@input_option("mel", "Folder of the mel path's run.")
@output_option("out", "Folder of the run: model, checkpoints, run_state.json, history.csv.")
@output_option("history", "CSV file for the training curves.")
def main(
    cache: Path, latents: Path, content: Path, style: Path, bank: Path, mel: Path, out: Path, history: Path
) -> None:
    """Train identity, transfer, diversity; killed, the next run goes on from the last checkpoint."""
    settings, seed = load_section("transfer.codec", CodecTransferSettings), load_training_seed()
    health = load_health()
    spectrogram = load_section("transfer.cache", CacheSettings).mel
    deterministic_torch(seed)
    keep_freed_memory()
    device, frames, styles = torch_device(), LatentCache.open(latents), StyleBank.open(bank)
    styles.judge.to(device)
    frozen = Frozen(
        ChunkCache.open(cache), frames, load_content(content).to(device), StyleTargets.open(style), styles,
        sound_of(frames, spectrogram).to(device), load_mel_model(mel).to(device), device,
    )  # fmt: skip
    scratch = open_scratch(
        "transfer-codec",
        out,
        modules=[__spec__.name],
        params={"seed": seed, "codec": settings.model_dump(mode="json")},
        inputs=[cache, latents, content, style, bank, mel],
    )
    write_history(history, train_codec(frozen, settings, seed, RunFolder(scratch.result), health))
    scratch.publish()


if __name__ == "__main__":
    main()
