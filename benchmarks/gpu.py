"""What a GPU gives: latents, training steps and triples a second, peak memory, and the share of what it can compute.

Measures whatever GPU it finds, within eight minutes, at the sizes of `profile=full`, with random weights and generated
inputs, computing as stages do. Prints one table and writes it to `benchmarks/results/gpu.md` and `gpu.json`. A step is
a whole one: items drawn on the CPU, transfer, networks, losses, backward, optimisers. Each case takes warm-up steps,
then steps until 5 s have passed or 20 are taken. What does not fit into memory, is not offered by the settings, failed,
or found no time left is said in its cell. Without a GPU it runs at the sizes of `profile=tiny` and writes nothing.

    python benchmarks/gpu.py [--size full|tiny] [--minutes 8] [--only TEXT] [--out FOLDER]
"""

from __future__ import annotations

import gc
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch
from extraction import RESULTS, flops_per_latent, hardware
from gpu_trainings import CODECS, TRAININGS, Recipe, Setup, composed, random_codec
from torch.utils.flop_counter import FlopCounterMode

from soundgate.audio.toolkit import draw_effects
from soundgate.codecs.extraction import encode_batch
from soundgate.runtime.console import logger, set_up_logging, track
from soundgate.runtime.device import keep_freed_memory, torch_device
from soundgate.runtime.files import write_json, write_text
from soundgate.runtime.randomness import keyed_generator
from soundgate.runtime.stage import deterministic_torch
from soundgate.tracks.rooms.plan import PlanSettings
from soundgate.tracks.rooms.triple import Renderer

OUT_OF_MEMORY, NOT_OFFERED, FAILED = "out of memory", "not offered", "failed"
NO_TIME, GPU_ALONE = "not measured: no time left", "not measured: on a GPU alone"
COLUMNS = ("fp32", "bf16", "compiled", "compiled, bf16")
RESERVE_S = 20.0  # Of the time, for what comes after the last case.
ROOM_RATE, LOOK_BACK, N_ROOMS = 48_000, 128, 8


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args:
        profile: whose settings.
        turn: steps before the clock runs, then steps whose operations are counted, then, again and again, steps that
            are timed. Of two steps of an adversarial training one is the discriminators'.
        seconds: of a case, at most, once it is warm.
        steps: of a case, at most.
        batches: of waves that are encoded.
        wave_s: of each of them, and of a triple.
        product: side of the square matrices.
        most_items: of a training step, unless its losses compare more; None: as many as the profile says.
    """

    profile: str
    turn: int
    seconds: float
    steps: int
    batches: tuple[int, ...]
    wave_s: float
    product: int
    most_items: int | None


SIZES = {
    "full": Size("full", 2, 5.0, 20, (1, 4, 16, 64), 10.0, 8192, None),
    "tiny": Size("tiny", 1, 0.1, 1, (1,), 0.5, 512, 2),
}


@dataclass(frozen=True)
class Cell:
    """What was measured, or why it was not.

    Args:
        note: says why there are no figures.
        rate: steps, latents or triples a second.
        peak_bytes: allocated on the GPU; None without one.
        flops: operations of a step, latent or triple; None where nothing counts them.
        share: of the measured product of matrices.
    """

    note: str = ""
    rate: float | None = None
    peak_bytes: int | None = None
    flops: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class Row:
    """A line of the table: by column a function that measures it, and the type of product it is held against."""

    name: str
    unit: str
    batch: int
    runs: dict[str, tuple[Callable[[], Cell], str]]


class Conditions(NamedTuple):
    """Where and at which sizes was measured, and the device's products by type, FLOP/s."""

    device: torch.device
    size: Size
    products: dict[str, float]


class NoTimeLeft(BaseException):
    """Ends a case in the middle; no handler of errors on the way takes it for one."""


@contextmanager
def stopped_at(end: float) -> Iterator[None]:
    """Raise `NoTimeLeft` inside when the clock reaches ``end``; also while something compiles."""

    def stop(*_: object) -> None:
        raise NoTimeLeft

    if time.monotonic() >= end:
        raise NoTimeLeft
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(end - time.monotonic(), 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def synchronize(device: torch.device, forget_peak: bool = False) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        if forget_peak:
            torch.cuda.reset_peak_memory_stats(device)


def recurrent_flops(inputs: torch.Size, weights: list[torch.Size], *_: object, **__: object) -> int:
    """Return the operations of cuDNN's recurrent layers, which PyTorch's counter misses; of [T, B, D] or [B, T, D]."""
    return 2 * inputs[0] * inputs[1] * sum(math.prod(shape) for shape in weights if len(shape) == 2)


def recurrent_backward_flops(inputs: torch.Size, weights: list[torch.Size], *_: object, **__: object) -> int:
    return 2 * recurrent_flops(inputs, weights)


RECURRENT = {
    torch.ops.aten._cudnn_rnn: recurrent_flops,
    torch.ops.aten._cudnn_rnn_backward: recurrent_backward_flops,
}


def paced(step: Callable[[int], object], size: Size, device: torch.device, counted: bool) -> Cell:
    """Return steps a second, their operations where asked, and the peak memory of the steps that are not counted."""
    turns = (range(first, first + size.turn) for first in count(step=size.turn))
    _take(step, next(turns))
    peak, flops = _peak_bytes(device), None
    if counted:
        with FlopCounterMode(display=False, custom_mapping=RECURRENT) as counter:
            _take(step, next(turns))
        flops = counter.get_total_flops() / size.turn
    synchronize(device, forget_peak=True)
    begun, taken = time.perf_counter(), 0
    while taken < size.steps and (not taken or time.perf_counter() - begun < size.seconds):
        _take(step, next(turns))
        taken += size.turn
    synchronize(device)
    rate = taken / (time.perf_counter() - begun)
    return Cell(rate=rate, peak_bytes=None if peak is None else max(peak, _peak_bytes(device)), flops=flops)


def _peak_bytes(device: torch.device) -> int | None:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def _take(step: Callable[[int], object], numbers: range) -> None:
    for number in numbers:
        step(number)


def product_rates(size: Size, device: torch.device) -> dict[str, float]:
    """Measure FLOP/s of a large square product by type, the most the device gives in practice."""
    kinds = {"fp32": (torch.float32, False), "bf16": (torch.bfloat16, False)}
    if device.type == "cuda":
        kinds["tf32"] = (torch.float32, True)
    rates = {}
    for name, (dtype, tf32) in kinds.items():
        a = torch.randn(size.product, size.product, device=device).to(dtype)
        before, torch.backends.cuda.matmul.allow_tf32 = torch.backends.cuda.matmul.allow_tf32, tf32
        seconds = []
        for _ in range(6):
            begun = time.perf_counter()
            a @ a
            synchronize(device)
            seconds.append(time.perf_counter() - begun)
        torch.backends.cuda.matmul.allow_tf32 = before
        rates[name] = 2 * size.product**3 / min(seconds)
    return rates


def train(recipe: Recipe, setup: Setup, column: str, size: Size) -> Cell:
    """Measure a training with the settings of a column."""
    changes = (recipe.bf16 or {}) if "bf16" in column else {}
    compiles = "compiled" in column
    training = recipe.build(setup.changed(changes | (recipe.compiled if compiles else {})))
    return paced(training.step, size, setup.device, counted=not compiles)


def encode(name: str, setup: Setup, batch: int, dtype: str, size: Size, latent_flops: Callable[[str], float]) -> Cell:
    """Measure a codec's encoder, from waves in memory to latents in memory."""
    device, codec = setup.device, random_codec(setup, name).to(setup.device)
    generator = keyed_generator(0, "benchmark-gpu", "waves")
    waves = [0.1 * generator.standard_normal(round(size.wave_s * codec.sample_rate), np.float32) for _ in range(batch)]
    # Out of memory, extraction halves the batch and goes on.
    refusals = _refusals(device)
    cell = paced(lambda _: encode_batch(codec, waves, device, dtype), size, device, counted=False)
    if _refusals(device) > refusals:
        raise torch.OutOfMemoryError
    n_latents = batch * codec.n_frames(len(waves[0]))
    return replace(cell, rate=cell.rate * n_latents, flops=latent_flops(name))


def _refusals(device: torch.device) -> int:
    return torch.cuda.memory_stats(device)["num_ooms"] if device.type == "cuda" else 0


def render(setup: Setup, size: Size) -> Cell:
    """Measure the renderer of triples, which computes with NumPy on the CPU, in this process."""
    toolkit = setup.section("rooms.plan", PlanSettings).toolkit
    generator = keyed_generator(0, "benchmark-gpu", "rooms")
    samples, length = round(size.wave_s / 2 * ROOM_RATE), ROOM_RATE // 2
    decay = np.exp(-np.arange(length) / (0.1 * ROOM_RATE))
    rooms = [(decay * generator.standard_normal(length)).astype(np.float32) for _ in range(N_ROOMS)]
    dry = 0.1 * generator.standard_normal(samples, np.float32)
    renderer = Renderer(lambda ir: rooms[int(ir)], look_back=LOOK_BACK, samples=samples, sample_rate=ROOM_RATE)

    def step(number: int) -> None:
        bad, target = str(number % N_ROOMS), str((number + 1) % N_ROOMS)
        renderer.render(dry, samples, bad, target, 0.7, draw_effects(generator, toolkit))

    return replace(paced(step, size, torch.device("cpu"), counted=False), peak_bytes=None)


def rows(setup: Setup, size: Size) -> list[Row]:
    """Return all lines."""
    # PyTorch lets cuDNN convolve float32 in TF32, except where codecs encode.
    single = "tf32" if setup.device.type == "cuda" and torch.backends.cudnn.allow_tf32 else "fp32"
    flops = cache(lambda name: flops_per_latent(random_codec(setup, name).to(setup.device), setup.device, size.wave_s))
    table = []
    for name in CODECS:
        for batch in size.batches:
            runs = {"fp32": (partial(encode, name, setup, batch, "float32", size, flops), "fp32")}
            if name not in ("bands", "gain_shape"):  # They keep out of autocast.
                runs["bf16"] = (partial(encode, name, setup, batch, "bfloat16", size, flops), "bf16")
            table.append(Row(f"codec, {name}", "latents", batch, runs))
    for name, recipe in TRAININGS.items():
        batch = setup.value(recipe.batch)
        if size.most_items is not None:
            batch = min(batch, max(size.most_items, recipe.fewest))
        own = setup.changed({recipe.batch: batch})
        offered = [("fp32", True), ("bf16", recipe.bf16), ("compiled", recipe.compiled)]
        offered.append(("compiled, bf16", recipe.bf16 and recipe.compiled))
        runs = {
            column: (partial(train, recipe, own, column, size), "bf16" if "bf16" in column else single)
            for column, there in offered if there
        }  # fmt: skip
        table.append(Row(name, "steps", batch, runs))
    table.append(Row("rooms, renderer (NumPy on the CPU)", "triples", 1, {"fp32": (partial(render, setup, size), "")}))
    return table


def outcome(run: Callable[[], Cell], device: torch.device, end: float) -> Cell:
    """Run a case and return what came of it; nothing but an interrupt ends the benchmark."""
    try:
        with stopped_at(end):
            synchronize(device, forget_peak=True)
            return run()
    except NoTimeLeft:
        return Cell(NO_TIME)
    except Exception as error:
        # The GAN says of its own what to change, with PyTorch's error as the cause.
        if isinstance(error, torch.OutOfMemoryError) or isinstance(error.__cause__, torch.OutOfMemoryError):
            return Cell(OUT_OF_MEMORY)
        logger.exception("A case failed")
        return Cell(f"{FAILED}: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:80]}")
    finally:
        if device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()


def measure(table: list[Row], device: torch.device, products: dict[str, float], end: float) -> list[dict[str, Cell]]:
    """Return the cells of every line by column; what compiles, whose operations are not counted, comes last."""
    cells: list[dict[str, Cell]] = [{} for _ in table]
    order = [(column, number) for column in COLUMNS for number in range(len(table))]
    for column, number in track(order, "Cases"):
        row = table[number]
        if column not in row.runs:
            cells[number][column] = Cell(NOT_OFFERED)
            continue
        if "compiled" in column and device.type != "cuda":
            cells[number][column] = Cell(GPU_ALONE)
            continue
        run, product = row.runs[column]
        cell = outcome(run, device, end)
        if cell.rate and cell.flops is None:
            cell = replace(cell, flops=next((own.flops for own in cells[number].values() if own.flops), None))
        if cell.rate and cell.flops and product:
            cell = replace(cell, share=cell.rate * cell.flops / products[product])
        cells[number][column] = cell
    return cells


def shown(cell: Cell) -> str:
    if cell.note:
        return cell.note
    parts = [f"{cell.rate:.4g}/s"]
    if cell.peak_bytes is not None:
        parts.append(f"{cell.peak_bytes / 2**30:.2f} GiB")
    if cell.share is not None:
        parts.append(f"{cell.share:.1%}")
    return "; ".join(parts)


def report(table: list[Row], cells: list[dict[str, Cell]], conditions: Conditions) -> str:
    device, size, products = conditions
    rates = ", ".join(f"{rate / 1e12:.3g} TFLOP/s in {name}" for name, rate in products.items())
    lines = [
        f"# Speed and memory on {hardware(device)}", "",
        f"Written by `benchmarks/gpu.py`, PyTorch {torch.__version__}; settings of `profile={size.profile}`, random "
        f"weights, generated inputs; waves of {size.wave_s:g} s are encoded. A cell: steps, latents or triples a "
        "second; peak memory allocated on the GPU; share of the measured product of matrices (the roofline). Products "
        f"of {size.product} x {size.product}: {rates}. Float32 trainings are held against TF32 on a GPU, since PyTorch "
        "lets cuDNN convolve in it; codecs, which forbid that, against float32. Counted are products and convolutions, "
        "forward and backward, not transforms (FFT). The renderer of triples has no batched form for a GPU.", "",
        f"| what | unit | batch | GFLOP a unit | {' | '.join(COLUMNS)} |", "| --- | --- | ---: | ---: "
        + "| --- " * len(COLUMNS) + "|",
    ]  # fmt: skip
    for row, own in zip(table, cells, strict=True):
        flops = next((cell.flops for cell in own.values() if cell.flops), None)
        counted = "" if flops is None else f"{flops / 1e9:.3g}"
        values = " | ".join(shown(own[column]) for column in COLUMNS)
        lines.append(f"| {row.name} | {row.unit} | {row.batch} | {counted} | {values} |")
    return "\n".join(lines) + "\n"


def as_json(table: list[Row], cells: list[dict[str, Cell]], conditions: Conditions) -> dict:
    lines = [
        {"name": row.name, "unit": row.unit, "batch": row.batch, "cells": {c: asdict(cell) for c, cell in own.items()}}
        for row, own in zip(table, cells, strict=True)
    ]
    device, size, products = conditions
    about = {"hardware": hardware(device), "torch": torch.__version__, "size": size.profile}
    return about | {"product_flops_per_second": products, "rows": lines}


@click.command(help=__doc__)
@click.option("--size", "size_name", type=click.Choice(list(SIZES)), help="By default full on a GPU, tiny elsewhere.")
@click.option("--minutes", default=8.0, show_default=True, help="After which nothing more is measured.")
@click.option("--only", default="", help="Only lines with this text in their names; written only where --out says.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the results.")
def main(size_name: str | None, minutes: float, only: str, out: Path | None) -> None:
    end = time.monotonic() + max(0.0, 60 * minutes - RESERVE_S)
    set_up_logging()
    deterministic_torch(0)
    device = torch_device()
    keep_freed_memory()
    logger.setLevel("WARNING")
    size = SIZES[size_name or ("full" if device.type == "cuda" else "tiny")]
    setup = Setup(composed(size.profile), device)
    table = [row for row in rows(setup, size) if only in row.name]
    conditions = Conditions(device, size, product_rates(size, device))
    cells = measure(table, device, conditions.products, end)
    text = report(table, cells, conditions)
    if out is None and device.type == "cuda" and not only:
        out = RESULTS
    if out is not None:
        write_text(out / "gpu.md", text)
        write_json(out / "gpu.json", as_json(table, cells, conditions))
    click.echo(text)
    if any(cell.note.startswith(FAILED) for own in cells for cell in own.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
