"""Train the speaker encoder."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_training_seed
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.speaker.model import save_speaker
from soundgate.tracks.voice.speaker.settings import SpeakerSettings
from soundgate.tracks.voice.speaker.task import STAGE, measure_speaker, train_speaker
from soundgate.training.health.settings import load_health
from soundgate.training.history import write_history
from soundgate.training.loop import work_params


@stage_command(STAGE)
@input_option("cache", "Folder of the cache of utterances.")
@output_option("out", "Folder for the encoder.")
@output_option("metrics", "JSON file for how it tells known speakers apart.")
@output_option("history", "CSV file for the training curves.")
def main(cache: Path, out: Path, metrics: Path, history: Path) -> None:
    """Train on the speakers of the training split, each at several speeds."""
    settings, seed = load_section("voice.speaker", SpeakerSettings), load_training_seed()
    deterministic_torch(seed)
    keep_freed_memory()
    scratch = open_scratch(
        STAGE,
        out,
        modules=[__spec__.name],
        params={"seed": seed, "speaker": work_params(settings)},
        inputs=[cache],
    )
    utterances = VoiceCache.open(cache)
    encoder, rows = train_speaker(
        utterances, settings, seed, torch_device(), scratch.folder / "checkpoint.pt", load_health()
    )
    save_speaker(scratch.result, encoder)
    write_json(metrics, jsonable(measure_speaker(encoder, utterances, settings, seed)))
    write_history(history, rows)
    scratch.publish()


if __name__ == "__main__":
    main()
