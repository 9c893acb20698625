"""What holding libraries to AVX2 costs, and whether processors of other makers then give the same bytes.

Other processors are emulated (`qemu-x86_64 -cpu`, Debian's qemu-user): the same program, with the answers that the
processor would give to a library that asks what it is; but approximate instructions (`rsqrtps`) give exact values. So
the hashes of every real processor that this ran on are kept in the JSON file. One thread.

    python benchmarks/instruction_sets.py [--processors Haswell,EPYC]
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from statistics import median
from time import process_time

import click

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parents[1]
# By the name of the column: what is set before the libraries are loaded.
VARIANTS = {
    "native": {"SOUNDGATE_INSTRUCTIONS": "native"},
    "AVX2, MKL as it is": {"MKL_CBWR": "AUTO"},
    "AVX2, MKL too": {"MKL_CBWR": "AVX2"},
    "pinned": {},
}
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

Operations = Iterator[tuple[str, Callable]]


def numpy_operations(small: bool) -> Operations:
    import numpy as np
    import scipy.linalg
    import scipy.signal

    size, length = (96, 20_000) if small else (512, 2_000_000)
    generator = np.random.default_rng(0)
    square, long = generator.standard_normal((size, size)), generator.standard_normal(length)
    single = long.astype(np.float32)
    yield "NumPy matrix product, double", lambda: square @ square
    yield "NumPy matrix product, single", lambda: square.astype(np.float32) @ square.astype(np.float32)
    yield "NumPy solve", lambda: np.linalg.solve(square, square[:, :8])
    yield "NumPy singular vectors", lambda: np.linalg.svd(square)[0]
    yield "SciPy least squares", lambda: scipy.linalg.lstsq(square[:, :40], square[:, 50])[0]
    yield "NumPy exp, double", lambda: np.exp(long)
    yield "NumPy exp, single", lambda: np.exp(single)
    yield "NumPy power", lambda: np.abs(long) ** 1.37
    yield "NumPy sums", lambda: np.array([single.sum(), long.mean(), long.std()])
    yield "NumPy transform", lambda: np.fft.rfft(long[:16384])
    yield "SciPy filter", lambda: scipy.signal.sosfilt(scipy.signal.butter(6, 0.1, output="sos"), long)


def torch_operations(small: bool) -> Operations:
    import torch
    from torch import nn

    from soundgate.training.optimisers import adamw

    size, length, frames = (96, 20_000, 256) if small else (512, 2_000_000, 4096)
    torch.manual_seed(0)
    square, long, signal = torch.randn(size, size), torch.randn(length), torch.randn(2, 32, frames)
    image, kernel, window = torch.randn(2, 8, 64, 64), torch.randn(64, 32, 7), torch.hann_window(512)
    recurrent = nn.GRU(32, 64, batch_first=True)
    attention = nn.MultiheadAttention(32, 4, batch_first=True)
    rows = signal.transpose(1, 2).contiguous()[:, :256]

    def trained() -> torch.Tensor:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv1d(32, 32, 5, padding=2), nn.GELU(), nn.Conv1d(32, 32, 5, padding=2))
        optimiser = adamw(model.parameters(), 1e-3)
        for _ in range(3):
            optimiser.zero_grad()
            model(signal).square().mean().backward()
            optimiser.step()
        return torch.cat([parameter.detach().ravel() for parameter in model.parameters()])

    yield "torch matrix product", lambda: square @ square
    yield "torch solve", lambda: torch.linalg.solve(square.double(), square.double())
    yield "torch convolution", lambda: nn.functional.conv1d(signal, kernel, padding=3)
    yield "torch convolution of images", lambda: nn.functional.conv2d(image, kernel[:16, :8, :3, None])
    yield "torch exp", lambda: long.exp()
    yield "torch tanh", lambda: long.tanh()
    yield "torch GELU", lambda: nn.functional.gelu(long)
    yield "torch softmax", lambda: square.softmax(-1)
    yield "torch sums", lambda: torch.stack([long.sum(), long.std()])
    yield "torch STFT", lambda: torch.stft(long[:16384], 512, 128, window=window, return_complex=True)
    yield "torch GRU", lambda: recurrent(rows)[0].detach()
    yield "torch attention", lambda: attention(rows, rows, rows)[0].detach()
    yield "three steps of training", trained


def functions_of_our_own(small: bool) -> Operations:
    import torch

    from soundgate.runtime.arithmetic import arc_cosine, decibels, log_sum_exp, logarithm, square_root

    torch.manual_seed(0)
    double = torch.rand(20_000 if small else 2_000_000, dtype=torch.float64) * 0.98 + 0.01
    for function, rivals in (
        (square_root, torch.sqrt),
        (logarithm, torch.log),
        (decibels, torch.log10),
        (arc_cosine, torch.acos),
    ):
        for values in (double.float(), double):
            kind = "double" if values.dtype == torch.float64 else "single"
            yield f"torch {rivals.__name__}, {kind}", lambda rivals=rivals, values=values: rivals(values)
            yield f"our {function.__name__}, {kind}", lambda function=function, values=values: function(values)
    yield "torch logsumexp, double", lambda: double.view(-1, 10).logsumexp(1)
    yield "our log_sum_exp, double", lambda: log_sum_exp(double.view(-1, 10), 1)


def library_operations(small: bool) -> Operations:
    import numpy as np
    import soxr
    from sklearn.cluster import KMeans
    from sklearn.linear_model import LogisticRegression

    rows = np.random.default_rng(0).standard_normal((400 if small else 4000, 16))
    yield "scikit-learn k-means", lambda: KMeans(4, n_init=1, random_state=0).fit(rows).cluster_centers_
    yield "scikit-learn regression", lambda: LogisticRegression().fit(rows, rows[:, 0] > 0).coef_
    yield "soxr", lambda: soxr.resample(rows[:, 0].astype(np.float32), 44100, 16000)


def worker(small: bool) -> dict[str, tuple[str, float]]:
    """Return of each operation the hash of its bytes, and median seconds."""
    import_module("stages")  # It pins, as in every stage, and so comes first.
    import numpy as np

    results = {}
    for operations in (numpy_operations, torch_operations, functions_of_our_own, library_operations):
        for name, operation in operations(small):
            seconds, digest = [], hashlib.sha256(np.ascontiguousarray(operation()).tobytes()).hexdigest()
            while not small and (len(seconds) < 3 or (sum(seconds) < 0.3 and len(seconds) < 200)):
                begun = process_time()
                operation()
                seconds.append(process_time() - begun)
            results[name] = (digest, median(seconds or [0.0]))
    return results


def run(small: bool, variables: dict[str, str], processor: str | None = None) -> dict[str, tuple[str, float]]:
    """Run the worker with variables set, on this or an emulated processor."""
    emulator = ["qemu-x86_64", "-cpu", processor] if processor else []
    command = [*emulator, sys.executable, __file__, "--worker", *(["--small"] if small else [])]
    paths = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    done = subprocess.run(command, env=os.environ | THREADS | paths | variables, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return {name: tuple(found) for name, found in json.loads(done.stdout).items()}


def cost_table(rounds: int) -> str:
    """Return how long each operation takes, as a ratio to the library's own choice in the same round."""
    seen = [{variant: run(False, variables) for variant, variables in VARIANTS.items()} for _ in range(rounds)]
    lines = [f"| operation | native, ms | {' | '.join(list(VARIANTS)[1:])} |", "| --- " * (1 + len(VARIANTS)) + "|"]
    for name in seen[0]["native"]:
        ratios = [
            median(round_[variant][name][1] / round_["native"][name][1] for round_ in seen)
            for variant in list(VARIANTS)[1:]
        ]
        native = median(round_["native"][name][1] for round_ in seen)
        lines.append(f"| {name} | {native * 1000:.2f} | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |")
    return "\n".join(lines)


def hashes(variant: str, processor: str | None = None) -> dict[str, str]:
    return {name: digest for name, (digest, _) in run(True, VARIANTS[variant], processor).items()}


def bytes_table(variant: str, processors: list[str]) -> str:
    """Return which operations give the bytes that this processor gives, in one variant."""
    here = hashes(variant)
    columns = {"here, native": hashes("native")} | {f"emulated {one}": hashes(variant, one) for one in processors}
    columns |= {name: found[variant] for name, found in kept(variant, here).items() if name != processor_name()}
    lines = [f"| operation | {' | '.join(columns)} |", "| --- " * (1 + len(columns)) + "|"]
    for name in here:
        same = ["same" if column.get(name) == here[name] else "other" for column in columns.values()]
        lines.append(f"| {name} | {' | '.join(same)} |")
    return "\n".join(lines)


def kept(variant: str, here: dict[str, str]) -> dict[str, dict[str, dict[str, str]]]:
    """Keep the hashes of this processor, and return those of all that this ran on."""
    path = RESULTS / "instruction_sets.json"
    found = json.loads(path.read_text()) if path.is_file() else {}
    found.setdefault(processor_name(), {})[variant] = here
    path.write_text(json.dumps(found, indent=1) + "\n")
    return {name: own for name, own in found.items() if variant in own}


def processor_name() -> str:
    """Return what the system calls the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


@click.command()
@click.option("--processors", default="Haswell,EPYC", show_default=True, help="Emulated; see qemu-x86_64 -cpu help.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--worker", "is_worker", is_flag=True, hidden=True)
@click.option("--small", is_flag=True, hidden=True)
def main(processors: str, rounds: int, is_worker: bool, small: bool) -> None:
    if is_worker:
        print(json.dumps(worker(small)))
        return
    if not shutil.which("qemu-x86_64"):
        raise click.UsageError("no qemu-x86_64; Debian and Ubuntu have it in package qemu-user")
    text = f"""# Instruction sets

Written by `benchmarks/instruction_sets.py` on: {processor_name()}. One thread.

## Cost: processor seconds as a ratio to the library's own choice (medians of {rounds} rounds)

`pinned` is what stages have: AVX2 in PyTorch, oneDNN, OpenBLAS and NumPy, `COMPATIBLE` in MKL.

{cost_table(rounds)}

## Bytes, pinned: the same as here?

{bytes_table("pinned", processors.split(","))}

## Bytes, AVX2 also in MKL: the same as here?

{bytes_table("AVX2, MKL too", processors.split(","))}
"""
    (RESULTS / "instruction_sets.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
