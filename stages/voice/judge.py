"""Train the held-out judges of the speaker and of the content."""

from pathlib import Path

import pandas as pd

from soundgate.runtime.config import load_section, load_training_seed
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.judge.encoder import save_judge
from soundgate.tracks.voice.judge.measures import measure_judges
from soundgate.tracks.voice.judge.settings import JudgeSettings
from soundgate.tracks.voice.judge.tasks import STAGE, train_encoder, train_units
from soundgate.tracks.voice.judge.units import save_units
from soundgate.training.health.settings import load_health
from soundgate.training.history import write_history
from soundgate.training.loop import work_params


@stage_command(STAGE)
@input_option("cache", "Folder of the cache of utterances.")
@output_option("out", "Folder for the judges, `encoder` and `units`.")
@output_option("metrics", "JSON file for how good they are.")
@output_option("history", "CSV file for the training curves of both.")
def main(cache: Path, out: Path, metrics: Path, history: Path) -> None:
    """Train judges on speakers that nothing else is trained on; they score conversions and never give a loss."""
    settings, seed = load_section("voice.judge", JudgeSettings), load_training_seed()
    deterministic_torch(seed)
    keep_freed_memory()
    scratch = open_scratch(
        STAGE,
        out,
        modules=[__spec__.name],
        params={"seed": seed, "judge": work_params(settings)},
        inputs=[cache],
    )
    utterances, device, health = VoiceCache.open(cache), torch_device(), load_health()
    encoder, curves = train_encoder(utterances, settings, seed, device, scratch.folder / "encoder.pt", health)
    units, teacher, unit_curves = train_units(utterances, settings, seed, device, scratch.folder / "units.pt", health)
    encoder, units = encoder.cpu(), units.cpu()
    save_judge(scratch.result / "encoder", encoder)
    save_units(scratch.result / "units", units)
    write_json(metrics, jsonable(measure_judges(utterances, encoder, units, teacher, settings, seed)))
    rows = [pd.DataFrame(own).assign(judge=name) for name, own in (("encoder", curves), ("units", unit_curves))]
    write_history(history, pd.concat(rows, ignore_index=True))
    scratch.publish()


if __name__ == "__main__":
    main()
