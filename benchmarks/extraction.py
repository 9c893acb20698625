"""How fast latents are extracted, against the plain loop: read a file, resample, encode, append to a list.

Writes `benchmarks/results/extraction_<device>.md` and `.json`. All ways take turns in every round, and
ratios are taken inside a round, so that whatever else the machine does falls on all of them; each way has a
process of its own, so that none inherits another's threads or memory. The plain loop does not hash, check or
store anything; extraction does all three.

    python benchmarks/extraction.py [--rounds 5] [--codec mimi] [--utterances 6]
"""

from __future__ import annotations

import multiprocessing
import platform
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path

import click
import numpy as np
import pandas as pd
import soundfile
import soxr
import torch
from torch.utils.flop_counter import FlopCounterMode

from soundgate.audio.io import write_audio
from soundgate.codecs.base import Codec
from soundgate.codecs.extraction import Utterance, extract_latents, map_ahead, read_utterance
from soundgate.codecs.registry import load_codec
from soundgate.codecs.synthetic import speech_like
from soundgate.corpora.index import build_index
from soundgate.runtime.console import logger, set_up_logging, track
from soundgate.runtime.device import torch_device
from soundgate.runtime.execution import worker_count
from soundgate.runtime.files import write_json, write_text
from soundgate.runtime.randomness import keyed_generator

RESULTS = Path(__file__).parent / "results"
SETTINGS = {"gain_shape": {}, "mimi": {"weights": "random"}, "encodec": {"weights": "random"}}
UTTERANCES = {"cpu": {"gain_shape": 480, "mimi": 16, "encodec": 16}, "cuda": dict.fromkeys(SETTINGS, 256)}
BATCHES = {"cpu": (1, 4), "cuda": (1, 2, 4, 8, 16, 32, 64)}
SAMPLE_RATE, SHORTEST_S, LONGEST_S = 16_000, 4.0, 16.0
PLAIN = "plain loop, fp32"


@cache
def codec_here(name: str) -> Codec:
    """Return the codec, loaded once in each process."""
    return load_codec(name, SETTINGS[name]).to(torch_device())


def make_corpus(folder: Path, count: int) -> pd.DataFrame:
    """Write 16 kHz FLAC utterances of 4 to 16 s, LibriSpeech's kind, and index them."""
    entries = []
    for number in range(count):
        seconds = keyed_generator(0, "benchmark-extraction", str(number)).uniform(SHORTEST_S, LONGEST_S)
        path = folder / f"{number:04d}.flac"
        write_audio(path, speech_like(seconds, SAMPLE_RATE, seed=number), SAMPLE_RATE)
        entries.append((path.stem, "speaker", path))
    return build_index(entries, "Benchmark corpus")[0]


def plain_loop(index: pd.DataFrame, name: str, device: torch.device) -> int:
    """The first implementation's way, with PyTorch's own number of threads."""
    codec = codec_here(name)
    latents = []
    for path in index["path"]:
        wav, rate = soundfile.read(path, dtype="float32")
        wav = soxr.resample(wav, rate, codec.sample_rate)
        with torch.inference_mode():
            latents.append(codec.encode(torch.from_numpy(wav)[None, None].to(device)).cpu().numpy())
    return sum(x.shape[1] for x in latents)


def read_only(index: pd.DataFrame, name: str, device: torch.device) -> int:
    """Hash, decode and resample as extraction does, and encode nothing: its limit for a free codec."""
    codec = codec_here(name)
    columns = index[["utt_id", "path", "sha256", "samples", "sample_rate"]].itertuples(index=False, name=None)
    utterances = [Utterance(row[0], Path(row[1]), *row[2:]) for row in columns]
    wavs = map_ahead(lambda each: read_utterance(each, codec.sample_rate), utterances, worker_count())
    return sum(codec.n_frames(len(wav)) for wav in wavs)


def extraction(index: pd.DataFrame, name: str, device: torch.device, dtype: str, batch: int) -> int:
    logger.setLevel("WARNING")
    seconds = batch * LONGEST_S if batch > 1 else 0.0
    with tempfile.TemporaryDirectory() as folder:
        latents = extract_latents(index, codec_here(name), folder, device=device, dtype=dtype, batch_seconds=seconds)
    return int(latents["n_frames"].sum())


def ways(device: torch.device) -> dict[str, Callable[..., int]]:
    """Return every way to be timed: from the index, the codec's name and the device to the number of latents."""
    result: dict[str, Callable[..., int]] = {PLAIN: plain_loop}
    for batch in BATCHES[device.type]:
        for dtype, short in (("float32", "fp32"), ("bfloat16", "bf16")):
            if batch == 1 or device.type != "cpu" or dtype == "float32":
                result[f"extraction, {short}, batch {batch}"] = partial(extraction, dtype=dtype, batch=batch)
    result["reading alone"] = read_only
    return result


def timed(run: Callable[..., int], index: pd.DataFrame, name: str, device: torch.device) -> tuple[float, int]:
    codec_here(name)
    start = time.perf_counter()
    n_latents = run(index, name, device)
    return time.perf_counter() - start, n_latents


def gemm_flops_per_second(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the rate of a large square product, the most this device gives in practice."""
    size = 2048 if device.type == "cpu" else 8192
    a = torch.randn(size, size, device=device).to(dtype)
    rates = []
    for _ in range(6):
        start = time.perf_counter()
        (a @ a)[0, 0].item()
        rates.append(2 * size**3 / (time.perf_counter() - start))
    return max(rates)


def flops_per_latent(codec: Codec, device: torch.device, seconds: float = 10.0) -> float:
    """Count the encoder's operations on a wave; fused LSTMs, which the counter misses, from their sizes."""
    wav = 0.1 * torch.randn(1, 1, round(seconds * codec.sample_rate), device=device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        n_frames = codec.encode(wav).shape[1]
    recurrent = sum(
        2 * weight.numel()
        for module in codec.modules() if isinstance(module, torch.nn.LSTM)
        for name, weight in module.named_parameters() if name.startswith("weight")
    )  # fmt: skip
    encoder_share = 0.5 if recurrent else 0.0  # EnCodec has the same LSTM in its decoder.
    return counter.get_total_flops() / n_frames + encoder_share * recurrent


def take_turns(index: pd.DataFrame, name: str, rounds: int, device: torch.device) -> tuple[dict, dict, int]:
    """Return seconds of each way, FLOP/s of the products, and the number of latents, which all ways agree on."""
    seconds: dict[str, list[float]] = {way: [] for way in ways(device)}
    peak: dict[str, list[float]] = {"fp32": [], "bf16": []}
    made = set()
    with ExitStack() as stack:
        spawn = multiprocessing.get_context("spawn")
        processes = {way: stack.enter_context(ProcessPoolExecutor(1, spawn)) for way in seconds}
        for number in track(range(rounds + 1), name):  # The first round warms up and is not counted.
            for way, run in ways(device).items():
                spent, n_latents = processes[way].submit(timed, run, index, name, device).result()
                made.add(n_latents)
                if number:
                    seconds[way].append(spent)
            for short, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
                peak[short].append(gemm_flops_per_second(device, dtype))
    (n_latents,) = made
    return seconds, peak, n_latents


def measure(name: str, count: int, rounds: int, device: torch.device, folder: Path) -> dict:
    codec = codec_here(name)
    index = make_corpus(folder / name, count)
    seconds, peak, n_latents = take_turns(index, name, rounds, device)
    flops = flops_per_latent(codec, device)
    result = {
        "codec": name, "n_utterances": len(index), "audio_s": float(index["duration_s"].sum()),
        "n_latents": n_latents, "flops_per_latent": flops, "frame_rate": codec.frame_rate,
        "gemm_flops_per_second": {short: max(values) for short, values in peak.items()}, "ways": {},
    }  # fmt: skip
    plain = np.array(seconds[PLAIN])
    for way, values in seconds.items():
        rate = n_latents / np.median(values)
        limit = result["gemm_flops_per_second"]["bf16" if "bf16" in way else "fp32"] / flops if flops else 0.0
        ratios = plain / np.array(values)
        result["ways"][way] = {
            "seconds": values, "latents_per_second": rate, "audio_s_per_second": rate / codec.frame_rate,
            "ratio": float(np.median(ratios)), "ratio_range": [float(ratios.min()), float(ratios.max())],
            "share_of_limit": rate / limit if limit and way != "reading alone" else None,
        }  # fmt: skip
    return result


def hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor()}, {worker_count()} cores"


def table(results: list[dict], device: torch.device, rounds: int) -> str:
    lines = [
        f"# Latent extraction on {hardware(device)}", "",
        f"Medians of {rounds} interleaved rounds, PyTorch {torch.__version__}; the ratio is the median over "
        "rounds of plain seconds / seconds of the same round, with its range. Synthetic 16 kHz FLAC speech "
        f"of {SHORTEST_S:.0f} to {LONGEST_S:.0f} s; random weights. The plain loop reads, resamples, encodes "
        "and appends to a list; extraction also hashes every file, checks it, and writes a durable store. "
        "Each way runs in a process of its own. The limit is the encoder's FLOPs over the best measured "
        "product (GEMM) of the same type.", "",
    ]  # fmt: skip
    for result in results:
        peak = {short: value / 1e9 for short, value in result["gemm_flops_per_second"].items()}
        lines += [
            f"## {result['codec']}: {result['n_utterances']} utterances, {result['audio_s']:.0f} s, "
            f"{result['n_latents']} latents at {result['frame_rate']:g} Hz", "",
            f"{result['flops_per_latent'] / 1e6:.3g} MFLOP a latent; product: {peak['fp32']:.0f} GFLOP/s in "
            f"fp32, {peak['bf16']:.0f} in bf16.", "",
            "| way | latents/s | audio s/s | times the plain loop | range | share of the limit |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
        ]  # fmt: skip
        for way, row in result["ways"].items():
            low, high = row["ratio_range"]
            share = "" if row["share_of_limit"] is None else f"{row['share_of_limit']:.1%}"
            lines.append(
                f"| {way} | {row['latents_per_second']:.0f} | {row['audio_s_per_second']:.0f} "
                f"| {row['ratio']:.2f} | {low:.2f} to {high:.2f} | {share} |"
            )
        lines.append("")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.option("--rounds", default=5, show_default=True, help="Counted rounds; one more warms up.")
@click.option("--codec", "codecs", multiple=True, type=click.Choice(list(SETTINGS)), default=list(SETTINGS))
@click.option("--utterances", type=int, help="Utterances a codec; by default few on a CPU, 256 on a GPU.")
def main(rounds: int, codecs: tuple[str, ...], utterances: int | None) -> None:
    set_up_logging()
    device = torch_device()
    logger.setLevel("WARNING")
    with tempfile.TemporaryDirectory() as folder:
        counts = {name: utterances or UTTERANCES[device.type][name] for name in codecs}
        results = [measure(name, count, rounds, device, Path(folder)) for name, count in counts.items()]
    text = table(results, device, rounds)
    write_json(RESULTS / f"extraction_{device.type}.json", {"hardware": hardware(device), "results": results})
    write_text(RESULTS / f"extraction_{device.type}.md", text)
    click.echo(text)


if __name__ == "__main__":
    main()
