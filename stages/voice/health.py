"""Put the health monitor to the test: trainings with planted faults, and trainings without."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_training_seed
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import Ledger, jsonable
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.faults.picture import draw_trials
from soundgate.tracks.voice.faults.running import STAGE, Trials, observe_all
from soundgate.tracks.voice.faults.scoring import score
from soundgate.tracks.voice.faults.settings import FaultSettings
from soundgate.tracks.voice.speaker.model import load_speaker
from soundgate.training.health.settings import HealthSettings


@stage_command("voice-health")
@input_option("cache", "Folder of the cache of utterances.")
@input_option("speaker", "Folder of the speaker encoder.")
@output_option("metrics", "JSON file for precision, recall, steps to detection and false alarms.")
@output_option("picture", "PNG of every training's alarms.")
def main(cache: Path, speaker: Path, metrics: Path, picture: Path) -> None:
    """Train very small GANs, most of them broken on purpose, and count what the monitor sees."""
    settings, seed = load_section("voice.health", FaultSettings), load_training_seed()
    health = load_section("health", HealthSettings)
    deterministic_torch(seed)
    scratch = open_scratch(
        STAGE,
        metrics,
        modules=[__spec__.name, "soundgate.training.health"],
        params={"seed": seed, "faults": settings.model_dump(mode="json"), "health": health.model_dump(mode="json")},
        inputs=[cache, speaker],
    )
    ledger = Ledger(scratch.folder / "trials")
    runs = observe_all(Trials(VoiceCache.open(cache), load_speaker(speaker), settings, health, seed, ledger))
    draw_trials(runs, settings, picture)
    write_json(scratch.result, jsonable(score(runs, settings, health)))
    scratch.publish()


if __name__ == "__main__":
    main()
