"""Both stages of the mel path on planted music: schedules, the critic's side, and runs that are killed."""

import importlib
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from ruamel.yaml import YAML
from torch import nn

from soundgate.runtime.errors import CorpusError
from soundgate.runtime.files import read_json
from soundgate.tracks.transfer.adversarial_task import mixing, other_genres
from soundgate.tracks.transfer.cache import CHUNK_COLUMNS, ChunkCache
from soundgate.tracks.transfer.mel.settings import MelTransferSettings
from soundgate.tracks.transfer.mel.stages import IdentityTask, TransferTask
from soundgate.tracks.transfer.mel.task import Frozen, MelTask, new_networks
from soundgate.tracks.transfer.mel.train import train_mel
from soundgate.tracks.transfer.run_folder import RunFolder
from soundgate.tracks.transfer.style.targets import StyleTargets
from soundgate.training.adversarial import Verdict
from soundgate.training.learner import Learner
from soundgate.training.loop import LoopSettings, fit
from tests.pipeline_file import ROOT
from tests.tracks.transfer.planted import write_labs
from tests.training.duel import health

GENRES = ("bright", "dark", "flat")
SETTINGS = {
    "generator": {"channels": 8, "detail": 0, "trunk": 16, "n_trunk": 1, "kernels": [[3, 1]]},
    "critic": {"channels": [4, 4, 4], "n_scales": 1, "periods": [2]},
    "learning_rate": 1e-3, "final_rate": 0.1, "betas": [0.5, 0.999], "clip": 5.0, "average": 0.9, "n_evaluated": 4,
    "stage1": {
        "loop": {"epochs": 2, "batch_size": 4, "steps_per_epoch": 4},
        "weights": {"adversarial": 0.4, "l1": 8, "content": 2, "style": 3, "continuity": 1, "feature_matching": 1},
        "adversary": {"start": 0.25, "every": 1, "rate": 1, "skip_below": 0.2, "r1_gamma": 1, "r1_every": 2},
        "rerecorded_share": 0.5, "analysis_share": 0.5, "continuity_share": 0.5,
    },
    "stage2": {
        "loop": {"epochs": 2, "batch_size": 4, "steps_per_epoch": 4},
        "weights": {"adversarial": 0.4, "content": 1, "style": 1, "flatness": 0.5, "bands": 1, "feature_matching": 1,
                    "continuity": 1, "l1": 8, "back_translation": 4},
        "adversary": {"start": 0, "every": 2, "rate": 0.2, "skip_below": 0.2, "r1_gamma": 1, "r1_every": 2},
        "mode": "mix", "alpha": [0.8, 0.4], "reconstruction_share": 0.5, "continuity_share": 0.5,
    },
}  # fmt: skip


class Killed(Exception):
    pass


def settings(**changes):
    """Return the small settings with some leaves changed, ``stage1__adversary__every=2``."""
    values = YAML(typ="safe").load(repr(SETTINGS).replace("'", '"'))
    for path, value in changes.items():
        *parents, leaf = path.split("__")
        section = values
        for parent in parents:
            section = section[parent]
        section[leaf] = value
    return MelTransferSettings.model_validate(values)


def planted_music(n_scores=5, n_frames=264):
    """Return a cache's parts: tones that follow a score, which says when and which; the genre says what else sounds."""
    rows, mels = [], []
    for score in range(n_scores):
        generator = np.random.default_rng(score)
        bands = np.repeat(generator.integers(20, 60, n_frames // 24 + 1), 24)[:n_frames]
        for code, genre in enumerate(GENRES):
            decibels = np.full((96, n_frames), -70.0) + generator.standard_normal((96, n_frames))
            decibels[{"bright": slice(64, 96), "dark": slice(0, 16), "flat": slice(0, 96)}[genre]] += 30
            decibels[bands, np.arange(n_frames)] = 0
            split = "test" if score == n_scores - 1 else "train"
            name = f"{genre}{score}"
            rows.append((name, name, name, "", 0, 0.0, genre, code, "one", 0, f"s{score}", f"s{score}", True, split))
            mels.append(np.minimum(decibels, 0).astype(np.float16)[None])
    return pd.DataFrame(rows, columns=CHUNK_COLUMNS), mels


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return folders of a cache, an untrained analysis and its target vectors."""
    root = tmp_path_factory.mktemp("labs")
    write_labs(root, *planted_music())
    return root


@pytest.fixture
def frozen(folders):
    content = importlib.import_module("soundgate.tracks.transfer.content.model").load_content(folders / "content")
    targets = StyleTargets.open(folders / "style")
    return Frozen(ChunkCache.open(folders / "cache"), content, targets, torch.device("cpu"))


def task(kind, frozen, n_steps=8, **changes):
    own = settings(**changes)
    return kind(frozen, new_networks(own, frozen, 0), own, 0, n_steps)


def state(built):
    """Return everything a task's checkpoint holds, as one flat dictionary of tensors."""
    flat = {}

    def walk(name, value):
        if isinstance(value, dict):
            for key, part in value.items():
                walk(f"{name}.{key}", part)
        elif isinstance(value, (list, tuple)):
            walk(name, dict(enumerate(value)))
        elif value is not None:
            flat[name] = torch.as_tensor(value)

    for name, part in (built.modules | built.optimisers).items():
        walk(name, part.state_dict())
    return flat


def assert_equal_states(one, other):
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.parametrize("n_genres", [2, 3, 5])
def test_targets_go_through_exactly_the_other_genres(n_genres):
    codes = np.arange(n_genres).repeat(3)
    wanted = np.stack([other_genres(codes, n_genres, step) for step in range(7, 7 + n_genres - 1)])
    for position, code in enumerate(codes):
        assert sorted(wanted[:, position]) == sorted(set(range(n_genres)) - {code})


def test_one_step_asks_for_several_genres():
    assert set(other_genres(np.zeros(3, int), 4, step=5)) == {1, 2, 3}


def test_the_mix_moves_from_the_first_alpha_to_the_last():
    assert mixing((0.8, 0.4), 0, 101) == 0.8
    assert mixing((0.8, 0.4), 50, 101) == pytest.approx(0.6)
    assert mixing((0.8, 0.4), 100, 101) == pytest.approx(0.4)
    assert mixing((0.8, 0.4), 0, 1) == 0.8


def test_the_stage_asks_with_the_mix_of_its_step(frozen, monkeypatch):
    asked = []
    original = StyleTargets.condition

    def condition(self, mode, codes, alpha, generator):
        asked.append((mode, round(alpha, 4)))
        return original(self, mode, codes, alpha, generator)

    monkeypatch.setattr(StyleTargets, "condition", condition)
    built = task(TransferTask, frozen, n_steps=5)
    for step in range(5):
        built.step(np.arange(3), step)
    assert asked == [("mix", alpha) for alpha in (0.8, 0.7, 0.6, 0.5, 0.4)]


def test_rates_fall_to_the_final_share(frozen):
    built = task(TransferTask, frozen, n_steps=8, final_rate=0.25)
    seen = []
    for step in (0, 4, 8):
        built.set_rates(step)
        seen.append([built.optimisers[name].param_groups[0]["lr"] for name in ("generator", "critic")])
    rates = np.array(seen)
    assert rates[:, 0] == pytest.approx([1e-3, 0.625e-3, 0.25e-3])
    assert rates[:, 1] == pytest.approx(0.2 * rates[:, 0])


class Sure(nn.Module):
    """A critic that is sure by a margin of its only weight, which says whether it learned."""

    def __init__(self, margin):
        super().__init__()
        self.margin = nn.Parameter(torch.tensor(margin))

    def forward(self, mels, condition):
        return Verdict([self.margin * mels.mean(dim=(1, 2))[:, None].sign()], [])


@pytest.mark.parametrize("margin, loss, skipped", [(1.5, 0.0, 1.0), (0.95, 0.1, 1.0), (0.5, 1.0, 0.0)])
def test_a_critic_that_is_too_good_does_not_learn(frozen, margin, loss, skipped):
    built = task(TransferTask, frozen, stage2__adversary__r1_gamma=0)
    sure = Sure(margin)
    built.networks = built.networks._replace(critic=sure)
    built.learners["critic"] = Learner(torch.optim.SGD(sure.parameters(), 0.1))
    real, targets = torch.ones(2, 96, 256), torch.zeros(2, frozen.targets.dim)
    losses = built.update_critic(real, targets, -real, targets, step=0)
    assert losses == pytest.approx({"critic": loss, "critic_skipped": skipped})
    assert (sure.margin.item() == pytest.approx(margin)) == bool(skipped)


def test_the_critic_has_its_turns(frozen):
    built = task(TransferTask, frozen, n_steps=8, stage2__adversary__start=0.25, stage2__adversary__skip_below=0)
    seen = [set(built.step(np.arange(4), step)) & {"critic", "r1", "adversarial"} for step in range(8)]
    # It comes in at step 2, learns at every second one, and at every second of those with the penalty.
    both = {"critic", "adversarial"}
    alone = {"adversarial"}
    assert seen == [set(), set(), both, alone, both | {"r1"}, alone, both, alone]


def test_a_critic_that_nobody_asks_does_not_train(frozen):
    built = task(IdentityTask, frozen, stage1__weights__adversarial=0, stage1__weights__feature_matching=0)
    before = {name: weight.clone() for name, weight in built.networks.critic.state_dict().items()}
    assert {"critic", "adversarial"}.isdisjoint(built.step(np.arange(4), 7))
    assert all(torch.equal(weight, before[name]) for name, weight in built.networks.critic.state_dict().items())


@pytest.mark.parametrize("kind", [IdentityTask, TransferTask])
def test_a_loss_of_no_weight_is_not_computed(frozen, kind):
    stage = "stage1" if kind is IdentityTask else "stage2"
    own = SETTINGS[stage]["weights"]
    for name in set(own) - {"adversarial"}:
        losses = task(kind, frozen, **{f"{stage}__weights__{name}": 0}).step(np.arange(4), 4)
        assert set(losses) & set(own) == set(own) - {name}


@pytest.mark.parametrize("kind", [IdentityTask, TransferTask])
def test_the_analysis_stays_as_it_is(frozen, kind):
    before = {name: weight.clone() for name, weight in frozen.content.state_dict().items()}
    built = task(kind, frozen)
    built.step(np.arange(4), 4)
    assert all(torch.equal(weight, before[name]) for name, weight in frozen.content.state_dict().items())
    assert all(weight.grad is None for weight in frozen.content.parameters())


def test_style_and_content_losses_reach_the_generator(frozen):
    nothing = {f"stage2__weights__{name}": 0 for name in SETTINGS["stage2"]["weights"]}
    for name in ("style", "content", "flatness", "bands", "continuity", "l1", "back_translation"):
        built = task(TransferTask, frozen, **(nothing | {f"stage2__weights__{name}": 1}))
        before = built.networks.generator.draft.weight.detach().clone()
        built.step(np.arange(4), 0)
        assert (built.networks.generator.draft.weight - before).abs().max() > 1e-5, name


def test_the_average_follows_the_generator(frozen):
    built = task(IdentityTask, frozen, average=0)
    built.step(np.arange(4), 0)
    weights = zip(built.networks.average.parameters(), built.networks.generator.parameters(), strict=True)
    assert all(torch.equal(average, weight) for average, weight in weights)
    slow = task(IdentityTask, frozen, average=0.75)
    first = slow.networks.average.draft.weight.clone()
    slow.step(np.arange(4), 0)
    expected = 0.75 * first + 0.25 * slow.networks.generator.draft.weight
    torch.testing.assert_close(slow.networks.average.draft.weight, expected.detach())


def test_the_probe_notices_a_generator_that_has_one_output(frozen):
    built = task(TransferTask, frozen)
    figures = built.probe()
    assert figures["swap_change"] > 0 and figures["pairwise_ratio"] > 0
    for values in built.networks.average.parameters():
        values.zero_()
    assert built.probe() == {"swap_change": 0, "pairwise_ratio": 0}
    built.evaluated = built.evaluated[:1]
    assert built.probe() == {}


def test_curves_come_from_test_items_alone(frozen):
    built = task(IdentityTask, frozen)
    assert set(frozen.cache.index["split"].iloc[built.evaluated]) == {"test"} and len(built.evaluated) == 3
    figures = built.evaluate()
    assert set(figures) == {"test_l1_db", "test_content", "test_style"}
    # An untrained generator writes values near 0, 40 dB below the loudest; the music is at about -70 with stripes.
    assert 15 < figures["test_l1_db"] < 40
    assert task(IdentityTask, frozen, n_evaluated=0).evaluate() == {}


@pytest.mark.parametrize("kind", [IdentityTask, TransferTask])
@pytest.mark.parametrize("killed_at", [2, 4, 5])
def test_a_killed_stage_goes_on_bit_for_bit(frozen, tmp_path, kind, killed_at):
    # A checkpoint after every step, so that the kill falls inside an epoch, at its end, and after it.
    loop = LoopSettings(epochs=2, batch_size=4, steps_per_epoch=4, checkpoint_s=1e-9)
    whole, killed, resumed = task(kind, frozen), task(kind, frozen), task(kind, frozen, n_evaluated=4)
    history = fit(whole, loop, 12, seed=0, name="run", checkpoint=tmp_path / "whole.pt")
    step = killed.step

    def dying(rows, number):
        if number == killed_at:
            raise Killed
        return step(rows, number)

    killed.step = dying
    with pytest.raises(Killed):
        fit(killed, loop, 12, seed=0, name="run", checkpoint=tmp_path / "killed.pt")
    torch.manual_seed(99)
    again = fit(resumed, loop, 12, seed=0, name="run", checkpoint=tmp_path / "killed.pt")
    assert_equal_states(state(resumed), state(whole))
    pd.testing.assert_frame_equal(pd.DataFrame(again), pd.DataFrame(history), check_exact=True)


def test_a_run_killed_in_its_second_stage_leaves_the_same_folder(frozen, tmp_path, monkeypatch):
    whole, killed = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "killed")
    train_mel(frozen, settings(), 0, whole)
    with monkeypatch.context() as patch:
        original = TransferTask.step

        def dying(self, rows, step):
            if step == 6:
                raise Killed
            return original(self, rows, step)

        patch.setattr(TransferTask, "step", dying)
        with pytest.raises(Killed):
            train_mel(frozen, settings(), 0, killed)
    assert not (killed.folder / "run_state.json").exists()
    train_mel(frozen, settings(), 0, killed)
    for name in ("model.safetensors", "config.json", "history.csv", "run_state.json"):
        assert (killed.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert whole.checkpoint(1).is_file() and whole.checkpoint(2).is_file()
    written = read_json(whole.folder / "run_state.json")
    assert written == {
        "status": "complete", "seed": 0, "stages": [1, 2], "epochs": {"1": 2, "2": 2}, "steps": {"1": 8, "2": 8},
    }  # fmt: skip
    history = pd.read_csv(whole.folder / "history.csv")
    assert history[["stage", "epoch"]].to_numpy().tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    assert history["critic_skipped"].dropna().between(0, 1).all()


def test_stage_2_goes_on_with_the_weights_of_stage_1(frozen, tmp_path):
    run = RunFolder(tmp_path)
    train_mel(frozen, settings(stage2__loop__epochs=0), 0, run)
    trained = torch.load(run.checkpoint(1), weights_only=True)["modules"]["average"]
    built = importlib.import_module("soundgate.tracks.transfer.mel.model").load_mel_model(tmp_path)
    assert all(torch.equal(weight, trained[name]) for name, weight in built.generator.state_dict().items())


def test_one_genre_is_too_few(frozen, tmp_path):
    alone = frozen._replace(targets=SimpleNamespace(genres=["one"], dim=3))
    with pytest.raises(CorpusError, match="two genres"):
        train_mel(alone, settings(), 0, RunFolder(tmp_path))


def test_a_small_generator_learns_eight_spectrograms(frozen):
    only = {f"stage1__weights__{name}": 0 for name in ("adversarial", "style", "continuity", "feature_matching")}
    size = {"generator__trunk": 64, "generator__kernels": [[3, 1], [3, 3]], "learning_rate": 4e-3, "average": 0}
    built = task(IdentityTask, frozen, n_steps=60, stage1__rerecorded_share=0, **only, **size)
    losses = []
    for step in range(60):
        torch.manual_seed(step)
        losses.append(built.step(np.arange(8), step)["l1"])
    assert np.mean(losses[-5:]) < 0.25 * losses[0]


def test_the_stage_command_publishes_the_run(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("src", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(folders, "labs")
    with open("params.yaml", "w") as file:
        YAML().dump(
            {"seed": 0, "training_seed": 0, "transfer": {"mel": SETTINGS}, "health": health().model_dump()}, file
        )
    options = {name: f"labs/{name}" for name in ("cache", "content", "style")} | {"out": "mel", "history": "curves.csv"}
    command = importlib.import_module("stages.transfer.mel").main
    done = CliRunner().invoke(command, [f"--{k}={v}" for k, v in options.items()], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert read_json("mel/run_state.json")["status"] == "complete"
    assert (tmp_path / "curves.csv").read_bytes() == (tmp_path / "mel/history.csv").read_bytes()
    assert {path.name for path in (tmp_path / "mel").rglob("*") if path.is_file()} == {
        "run_state.json", "history.csv", "model.safetensors", "config.json", "stage1_latest.pt", "stage2_latest.pt",
    }  # fmt: skip


@pytest.mark.parametrize("lacking", ["draw", "learn", "evaluation_targets"])
def test_a_stage_that_lacks_a_part_cannot_be_made(frozen, lacking):
    incomplete = type("Incomplete", (IdentityTask,), {lacking: getattr(MelTask, lacking)})
    with pytest.raises(TypeError, match=f"abstract method '?{lacking}"):
        task(incomplete, frozen)
