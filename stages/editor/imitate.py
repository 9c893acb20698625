"""Phase 2, before it is learnt what pays: labels as the true edits have them."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_training_seed
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.editor.cache import PairCache
from soundgate.tracks.editor.policy.imitate import STAGE, measure_imitation, train_imitation
from soundgate.tracks.editor.policy.model import save_predictor
from soundgate.tracks.editor.policy.settings import ImitationSettings
from soundgate.training.health.settings import load_health
from soundgate.training.history import write_history
from soundgate.training.loop import work_params


@stage_command("editor-imitate")
@input_option("cache", "Folder of the pairs' spectrograms.")
@output_option("out", "Folder for the model.")
@output_option("metrics", "JSON file for how right its labels are.")
@output_option("history", "CSV file for the training curves.")
def main(cache: Path, out: Path, metrics: Path, history: Path) -> None:
    """Train the policy on the labels of the train pairs; measure it on the test pairs."""
    settings, seed = load_section("editor.imitation", ImitationSettings), load_training_seed()
    health = load_health()
    deterministic_torch(seed)
    keep_freed_memory()
    pairs = PairCache.open(cache)
    scratch = open_scratch(
        STAGE,
        out,
        modules=[__spec__.name],
        params={"seed": seed, "imitation": work_params(settings)},
        inputs=[cache],
    )
    model, rows = train_imitation(pairs, settings, seed, torch_device(), scratch.folder / "checkpoint.pt", health)
    save_predictor(scratch.result, model)
    write_json(metrics, jsonable(measure_imitation(pairs, model, seed, settings.n_bootstrap)))
    write_history(history, rows)
    scratch.publish()


if __name__ == "__main__":
    main()
