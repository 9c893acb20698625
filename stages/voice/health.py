"""Put the health monitor to the test: trainings with faults that no rule was adjusted by, and trainings without."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_training_seed
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.faults.picture import draw_faults
from soundgate.tracks.voice.faults.results import fault_table, summarise
from soundgate.tracks.voice.faults.rigs import Material
from soundgate.tracks.voice.faults.scoring import outcomes_of
from soundgate.tracks.voice.faults.settings import FaultSettings
from soundgate.tracks.voice.faults.trials import STAGE, observe_all, trials_of
from soundgate.tracks.voice.speaker.model import load_speaker
from soundgate.training.health.settings import HealthSettings


@stage_command("voice-health")
@input_option("cache", "Folder of the cache of utterances.")
@input_option("speaker", "Folder of the speaker encoder.")
@output_option("metrics", "JSON file for what was found, and for false alarms.")
@output_option("picture", "PNG of every fault, and whether it was found.")
def main(cache: Path, speaker: Path, metrics: Path, picture: Path) -> None:
    """Train small networks, most of them broken on purpose, and count what the monitor sees."""
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
    material = Material(VoiceCache.open(cache), load_speaker(speaker), settings)
    runs = observe_all(trials_of("held_out", settings), material, health, seed, scratch.folder)
    outcomes = outcomes_of(runs, settings, health)
    draw_faults(fault_table(outcomes), picture)
    write_json(scratch.result, jsonable(summarise(outcomes)))
    scratch.publish()


if __name__ == "__main__":
    main()
