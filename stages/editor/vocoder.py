"""Train the vocoder, and measure it against Griffin-Lim."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_training_seed
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.editor.features import Features, FeatureSettings
from soundgate.tracks.editor.pairs.table import read_pairs
from soundgate.tracks.editor.vocoder.measures import STAGE, measure_vocoder
from soundgate.tracks.editor.vocoder.model import Vocoder, save_vocoder
from soundgate.tracks.editor.vocoder.settings import VocoderSettings
from soundgate.tracks.editor.vocoder.task import train_vocoder
from soundgate.tracks.editor.vocoder.waves import pack_waves
from soundgate.training.health.settings import load_health
from soundgate.training.history import write_history
from soundgate.training.loop import work_params


@stage_command("editor-vocoder")
@input_option("pairs", "Folder of the pairs.")
@output_option("out", "Folder for the model.")
@output_option("metrics", "JSON file for what the vocoder is judged by.")
@output_option("history", "CSV file for the training curves.")
def main(pairs: Path, out: Path, metrics: Path, history: Path) -> None:
    """Train on the recordings of the training split; measure on those of the test split."""
    settings, seed = load_section("editor.vocoder", VocoderSettings), load_training_seed()
    health = load_health()
    features = load_section("editor.cache.features", FeatureSettings)
    deterministic_torch(seed)
    keep_freed_memory()
    scratch = open_scratch(
        STAGE,
        out,
        modules=[__spec__.name],
        params={"seed": seed, "vocoder": work_params(settings), "features": features.model_dump()},
        inputs=[pairs],
    )
    waves = pack_waves(read_pairs(pairs), features.sample_rate, scratch.folder / "waves")
    network, rows = train_vocoder(
        waves, features, settings, seed, torch_device(), scratch.folder / "checkpoint.pt", health
    )
    save_vocoder(scratch.result, network)
    measured = measure_vocoder(Vocoder(network), waves, Features(features), settings, seed)
    write_json(metrics, jsonable(measured))
    write_history(history, rows)
    scratch.publish()


if __name__ == "__main__":
    main()
