"""The benchmark for GPUs where there is none, and every training on a GPU that is only pretended.

A step at the sizes of profile=full is computed, with as few items as its losses compare: all trainings together take
3 GiB and a minute, so they need no meta device, and what they learn is looked at as well.
"""

import copy
import math
import re
import time

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from soundgate.codecs.extraction import encode_batch
from soundgate.runtime.errors import TrainingError
from soundgate.runtime.files import read_json
from soundgate.training.health.settings import HealthSettings
from soundgate.training.loop import LoopSettings, fit
from tests.pipeline_file import ROOT
from tests.pretended_gpu import PretendedGpu

# What others are made of, and what is injected into one.
NO_TRAININGS = {"AdversarialTask", "MelTask", "FaultyTask"}
# Trainings whose steps those are that faults are injected into.
OTHERS = {"voice.health"}
# The same task as another's, with fewer losses.
LIKE_OTHERS = {"structure, compare, Gaussian", "transfer, codec, stage 1", "transfer, codec, stage 2"}
SETTINGS = {"bf16": True, "amp": True, "precision": "bf16", "compile": True}
PARTS = ("structure", "transfer", "editor", "voice")
# Discriminators at their full width are to hear no more than this.
HEARD = {"voice.train.judged_s": 0.25}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def gpu():
    """Return the benchmark, imported as the script is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import gpu

        yield gpu


@pytest.fixture(scope="module")
def trainings(gpu):
    import gpu_trainings

    return gpu_trainings


@pytest.fixture
def run(gpu, monkeypatch, tmp_path):
    """Return a function that runs the benchmark, with results in a folder of its own and PyTorch left as it was."""
    monkeypatch.setenv("SOUNDGATE_DEVICE", "cpu")
    monkeypatch.setattr(gpu, "RESULTS", tmp_path / "results")
    deterministic, benchmark = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    level = gpu.logger.level
    yield lambda *options: CliRunner().invoke(gpu.main, options)
    gpu.logger.setLevel(level)
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = benchmark


@pytest.fixture
def one_of_each(gpu, trainings, monkeypatch):
    """Leave a codec and a training in bfloat16, and let PyTorch tell of a GPU."""
    monkeypatch.setattr(gpu, "CODECS", {"gain_shape": {}})
    monkeypatch.setattr(gpu, "TRAININGS", {name: trainings.TRAININGS[name] for name in ("editor, reconstruction",)})
    told = {
        "get_device_name": "Pretended GPU", "max_memory_allocated": 3 * 2**29, "memory_stats": {"num_ooms": 0},
        "synchronize": None, "reset_peak_memory_stats": None, "empty_cache": None,
    }  # fmt: skip
    for name, value in told.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)


def in_a_minute():
    return time.monotonic() + 60


def test_every_line_is_measured_where_there_is_no_gpu(run, gpu, trainings, tmp_path):
    result = run("--size", "tiny", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "gpu.md").read_text().strip() == result.output[result.output.index("# Speed") :].strip()
    rows = {row["name"]: row["cells"] for row in read_json(tmp_path / "gpu.json")["rows"]}
    assert set(trainings.TRAININGS) | {f"codec, {name}" for name in trainings.CODECS} < set(rows)
    assert all(cells["fp32"]["rate"] > 0 for cells in rows.values())
    for name, recipe in trainings.TRAININGS.items():
        assert rows[name]["fp32"]["flops"] > 0 and rows[name]["fp32"]["share"] > 0, name
        bf16, compiled = rows[name]["bf16"], rows[name]["compiled"]
        assert (bf16["rate"] or 0) > 0 if recipe.bf16 else bf16["note"] == gpu.NOT_OFFERED, name
        assert compiled["note"] == (gpu.GPU_ALONE if recipe.compiled else gpu.NOT_OFFERED), name


def test_on_a_cpu_nothing_is_written_unasked(run, tmp_path):
    result = run("--only", "gain_shape")
    assert result.exit_code == 0 and result.output.count("| latents |") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
def test_on_a_gpu_results_are_written_with_memory(run, one_of_each, monkeypatch, tmp_path):
    monkeypatch.setenv("SOUNDGATE_DEVICE", "cuda")
    with PretendedGpu():
        result = run("--size", "tiny")
    assert result.exit_code == 0, result.output
    report = read_json(tmp_path / "results/gpu.json")
    assert report["hardware"] == "Pretended GPU" and set(report["product_flops_per_second"]) == {"fp32", "bf16", "tf32"}
    rows = {row["name"]: row["cells"] for row in report["rows"]}
    measured = [rows["codec, gain_shape"]["fp32"], *(rows["editor, reconstruction"][own] for own in ("fp32", "bf16"))]
    assert all(cell["peak_bytes"] == 3 * 2**29 and cell["share"] > 0 for cell in measured)
    assert result.output.count("; 1.50 GiB; ") == len(measured)


def test_what_there_is_no_time_for_is_said_in_its_cells(run, gpu):
    result = run("--only", "rooms", "--minutes", "0")
    assert result.exit_code == 0 and gpu.NO_TIME in result.output


def test_a_case_ends_when_the_time_does_whatever_it_catches(gpu):
    def endless():
        while True:
            try:
                time.sleep(0.01)
            except Exception:
                raise AssertionError from None

    begun = time.monotonic()
    assert gpu.outcome(endless, CPU, begun + 0.05).note == gpu.NO_TIME
    assert time.monotonic() - begun < 5


def test_a_case_that_does_not_fit_or_fails_is_a_cell(gpu):
    def out_of_memory():
        raise torch.OutOfMemoryError("CUDA out of memory")

    def as_the_gan_says_it():
        try:
            out_of_memory()
        except RuntimeError as error:
            raise TrainingError("voice-train", expected="memory for a batch", found="none") from error

    def wrong():
        raise ValueError("two\nlines")

    for case in (out_of_memory, as_the_gan_says_it):
        assert gpu.outcome(case, CPU, in_a_minute()).note == gpu.OUT_OF_MEMORY
    assert gpu.outcome(wrong, CPU, in_a_minute()).note == f"{gpu.FAILED}: ValueError: two"


def test_a_case_that_fails_is_the_benchmarks_failure(run, gpu, monkeypatch):
    monkeypatch.setattr(gpu, "render", lambda *_: 1 / 0)
    result = run("--only", "rooms")
    assert result.exit_code == 1 and "failed: ZeroDivisionError" in result.output


def test_compiled_code_is_held_against_the_operations_of_the_plain(gpu):
    def cell(flops):
        return lambda: gpu.Cell(rate=2.0, flops=flops), "fp32"

    row = gpu.Row("training", "steps", 1, {"fp32": cell(6.0), "bf16": cell(None)})
    (cells,) = gpu.measure([row], CPU, {"fp32": 24.0}, in_a_minute())
    assert cells["bf16"].flops == 6.0 and cells["bf16"].share == cells["fp32"].share == 0.5


def test_recurrent_layers_count_as_their_products(gpu):
    layer, x = torch.nn.GRU(5, 7, batch_first=True), torch.randn(2, 11, 5)
    with gpu.FlopCounterMode(display=False) as counter:
        layer(x)[0].sum().backward()
    weights = [weight.shape for weight in layer.parameters()]
    forward = gpu.recurrent_flops(x.shape, weights)
    assert forward == 2 * 2 * 11 * 3 * 7 * (5 + 7)
    # The first layer's inputs need no gradient, and the first state none at all.
    assert forward < counter.get_total_flops() <= forward + gpu.recurrent_backward_flops(x.shape, weights)


def test_every_training_is_there(trainings):
    written = (ROOT / "benchmarks/gpu_trainings.py").read_text()
    files = (ROOT / "src/soundgate/tracks").rglob("*.py")
    tasks = {name for path in files for name in re.findall(r"^class ([A-Z]\w*Task)\b", path.read_text(), re.M)}
    assert len(tasks) > 10
    assert {name for name in tasks - NO_TRAININGS if not re.search(rf"\b{name}\b", written)} == set()


def test_what_settings_offer_is_measured(trainings):
    def offered(values, path):
        for key, value in values.items():
            here = f"{path}.{key}" if path else key
            if isinstance(value, dict) and here not in OTHERS:
                yield from offered(value, here)
            elif key in SETTINGS and not isinstance(value, dict):
                yield here, SETTINGS[key]

    there = dict(offered(trainings.composed("full"), ""))
    recipes = trainings.TRAININGS.values()
    measured = {
        name: value
        for recipe in recipes
        for own in (recipe.bf16, recipe.compiled)
        for name, value in (own or {}).items()
    }
    assert there.items() <= measured.items()
    setup = trainings.Setup(trainings.composed("full"), CPU).changed(measured)
    assert all(setup.value(name) == value for name, value in measured.items())


def weights(optimiser):
    return [own.detach() for group in optimiser.param_groups for own in group["params"]]


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_a_step_at_full_size_trains_on_a_gpu(trainings, part):
    full = trainings.Setup(trainings.composed("full"), torch.device("cuda"))
    for name, recipe in trainings.TRAININGS.items():
        if not name.startswith(part):
            continue
        with PretendedGpu() as gpu:
            task = (training := recipe.build(full.changed({recipe.batch: recipe.fewest} | HEARD))).task
            before = {name: copy.deepcopy(weights(one)) for name, one in task.optimisers.items()}
            losses = training.step(0)
        assert losses and all(map(math.isfinite, losses.values())), (name, losses)
        for side, old in before.items():
            moved = [not torch.equal(*pair) for pair in zip(weights(task.optimisers[side]), old, strict=True)]
            # In the codec path's first stage nobody asks the critic.
            assert sum(moved) > 0.8 * len(moved) or (side == "critic" and "critic" not in losses), (name, side)
        for module in task.modules.values():
            assert all(own.isfinite().all() and gpu.holds(own) for own in module.parameters()), name


def hold_out(task):
    """Give a task something that it evaluates at an epoch's end, which the benchmark does not."""
    some = task.rows[:2]
    match type(task).__name__:
        case "VocoderTask":
            task.evaluated = torch.rand(2, task.n_samples)
        case "ImitationTask":
            task.cache.table.loc[0, "split"] = "validation"
        case "DynamicsTask":
            task.held = some
        case "PpoTask":
            task.held_out = some[:1]
        case "ReconstructionTask" | "IdentityTask" | "TransferTask" | "CodecTask":
            task.evaluated = some


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_a_training_goes_on_from_its_checkpoint_on_a_gpu_and_is_watched(trainings, tmp_path, part):
    tiny = trainings.Setup(trainings.composed("tiny"), torch.device("cuda"))
    health = tiny.section("health", HealthSettings).model_copy(update={"interval": 1})
    for name, recipe in trainings.TRAININGS.items():
        if not name.startswith(part) or name in LIKE_OTHERS:
            continue
        checkpoint = tmp_path / f"{name}.pt"
        for epochs in (1, 2):
            loop = LoopSettings(epochs=epochs, batch_size=recipe.fewest, steps_per_epoch=1)
            with PretendedGpu():
                training = recipe.build(tiny.changed({recipe.batch: recipe.fewest}))
                hold_out(training.task)
                folder = tmp_path / name
                rows = fit(
                    training.task, loop, training.n_items, seed=0, name=name, checkpoint=checkpoint, health=health,
                    diagnostics=folder,
                )  # fmt: skip
            assert [row["step"] for row in rows] == list(range(1, epochs + 1)), name
            assert any(folder.iterdir())


@pytest.mark.slow
def test_codecs_encode_and_decode_on_a_gpu(trainings):
    setup = trainings.Setup(trainings.composed("tiny"), torch.device("cuda"))
    for name in trainings.CODECS:
        codec = trainings.random_codec(setup, name)
        wav = 0.1 * np.random.default_rng(0).standard_normal(4 * codec.hop_length, np.float32)
        expected = encode_batch(codec, [wav], CPU)[0]
        with PretendedGpu() as gpu:
            codec.to(setup.device)
            (latents,) = encode_batch(codec, [wav], setup.device)
            on_gpu = torch.from_numpy(latents)[None].to(setup.device)
            decoded = codec.decode_codes(codec.quantise(on_gpu))
            assert gpu.holds(decoded) and gpu.holds(codec.decode(on_gpu))
        np.testing.assert_array_equal(latents, expected)
