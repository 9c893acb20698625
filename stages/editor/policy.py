"""Phase 2: labels by what they earn, learnt by PPO."""

from pathlib import Path

from soundgate.runtime.config import load_section, load_training_seed
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.editor.cache import PairCache
from soundgate.tracks.editor.policy.model import load_predictor, save_predictor
from soundgate.tracks.editor.policy.ppo import STAGE, Frozen, measure_policy, train_policy
from soundgate.tracks.editor.policy.settings import PolicySettings
from soundgate.tracks.editor.reconstruct.model import load_reconstruction
from soundgate.training.health.settings import load_health
from soundgate.training.history import write_history
from soundgate.training.loop import work_params


@stage_command("editor-policy")
@input_option("cache", "Folder of the pairs' spectrograms.")
@input_option("imitation", "Folder of the policy that imitates.")
@input_option("reconstruction", "Folder of phase 1's model.")
@output_option("out", "Folder for the model.")
@output_option("metrics", "JSON file for how right its labels are and what they earn.")
@output_option("history", "CSV file for the training curves.")
def main(cache: Path, imitation: Path, reconstruction: Path, out: Path, metrics: Path, history: Path) -> None:
    """Improve the imitating policy by PPO on the train pairs; measure both on the test pairs."""
    settings, seed = load_section("editor.policy", PolicySettings), load_training_seed()
    health = load_health()
    deterministic_torch(seed)
    keep_freed_memory()
    device = torch_device()
    frozen = Frozen(
        PairCache.open(cache), load_predictor(imitation).to(device), load_reconstruction(reconstruction).to(device)
    )
    scratch = open_scratch(
        STAGE,
        out,
        modules=[__spec__.name],
        params={"seed": seed, "policy": work_params(settings)},
        inputs=[cache, imitation, reconstruction],
    )
    model, rows = train_policy(frozen, settings, seed, scratch.folder / "checkpoint.pt", health)
    save_predictor(scratch.result, model)
    write_json(metrics, jsonable(measure_policy(frozen, model, settings, seed)))
    write_history(history, rows)
    scratch.publish()


if __name__ == "__main__":
    main()
