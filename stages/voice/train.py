"""Train the voice converter."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_training_seed
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.gan.settings import TrainSettings
from soundgate.tracks.voice.gan.task import STAGE
from soundgate.tracks.voice.gan.train import summary, train_converter
from soundgate.tracks.voice.model.folder import save_converter
from soundgate.tracks.voice.speaker.model import load_speaker
from soundgate.training.checkpoint import keep_checkpoint
from soundgate.training.health.settings import load_health
from soundgate.training.history import write_history
from soundgate.training.loop import work_params
from soundgate.training.peak import log_peak_memory


@stage_command("voice-train")
@input_option("cache", "Folder of the cache of utterances.")
@input_option("speaker", "Folder of the speaker encoder.")
@output_option("out", "Folder for the converter.")
@output_option("metrics", "JSON file for the last losses.")
@output_option("history", "CSV file for the training curves.")
def main(cache: Path, speaker: Path, out: Path, metrics: Path, history: Path) -> None:
    """Train against the discriminators; killed, the next run goes on. Under torchrun, processes share each batch."""
    settings, seed = load_section("voice.train", TrainSettings), load_training_seed()
    deterministic_torch(seed)
    keep_freed_memory()
    scratch = open_scratch(
        STAGE,
        out,
        modules=[__spec__.name],
        # Samples along the way draw nothing and change no number.
        params={"seed": seed, "train": work_params(settings.model_copy(update={"sample_interval": 0}))},
        inputs=[cache, speaker],
    )
    utterances, encoder = VoiceCache.open(cache), load_speaker(speaker)
    converter, rows = train_converter(
        utterances, encoder, settings, seed, torch_device(), scratch.folder / "checkpoint.pt", load_health()
    )
    log_peak_memory(STAGE)
    save_converter(scratch.result, converter)
    keep_checkpoint(scratch.folder / "checkpoint.pt", scratch.result)
    write_json(metrics, jsonable(summary(rows)))
    write_history(history, rows)
    scratch.publish()


if __name__ == "__main__":
    main()
