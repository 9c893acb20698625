"""DVC's own processor time on the pipeline of this repository, against an earlier commit, in turn in one run.

Each revision is cloned; nothing is computed: `dvc status` and `dvc repro --dry --allow-missing` read the pipeline and
compare it with its lock file as they do where data are there, but for hashing these.

    python benchmarks/dvc_time.py [--reference 69dcd04] [--rounds 5]
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import click

RESULTS = Path(__file__).parent / "results"
# What is left where DVC, which reads params.yaml for every stage, reads it once.
ONCE = """
import functools, sys, dvc.dependency.param as param
from dvc.cli import main
param.load_path = functools.cache(param.load_path)
sys.exit(main(sys.argv[1:]))
"""
NOTHING_TO_DO = ["repro", "--dry", "--allow-missing"]
COMMANDS = {
    "dvc status": [sys.executable, "-m", "dvc", "status"],
    "dvc status, parameters read once": [sys.executable, "-c", ONCE, "status"],
    "dvc repro, nothing to do": [sys.executable, "-m", "dvc", *NOTHING_TO_DO],
    "dvc repro, parameters read once": [sys.executable, "-c", ONCE, *NOTHING_TO_DO],
    "dvc metrics show": [sys.executable, "-m", "dvc", "metrics", "show"],
    "soundgate --help": [sys.executable, "-m", "soundgate.cli", "--help"],
}


def processor_s(command: list[str], folder: Path) -> float:
    """Return user and system seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def clone(revision: str, folder: Path) -> Path:
    root = Path(__file__).parents[1]
    subprocess.run(["git", "clone", "-q", str(root), str(folder)], check=True)
    subprocess.run(["git", "-c", "advice.detachedHead=false", "checkout", "-q", revision], cwd=folder, check=True)
    return folder


def one_stage(folder: Path) -> Path:
    """Make a repository of one stage that has run: what DVC takes whatever it is asked."""
    folder.mkdir()
    (folder / "dvc.yaml").write_text("stages:\n  one:\n    cmd: echo 1 > out\n    outs: [out]\n")
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "repro", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    return folder


def lines_of(folder: Path, name: str) -> int:
    return len((folder / name).read_text().splitlines())


@click.command()
@click.option("--reference", default="69dcd04", show_default=True, help="The earlier commit.")
@click.option("--rounds", default=5, show_default=True)
def main(reference: str, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        revision = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        before, now = (clone(rev, Path(folder, name)) for rev, name in ((reference, "before"), (revision, "now")))
        least = one_stage(Path(folder, "least"))
        seconds: dict[tuple[str, str], list[float]] = {}
        for _ in range(rounds + 1):  # The first warms up.
            for name, command in COMMANDS.items():
                for side, place in (("before", before), ("now", now)):
                    seconds.setdefault((name, side), []).append(processor_s(command, place))
                if "read once" not in name:
                    seconds.setdefault((name, "least"), []).append(processor_s(command, least))
        rows = []
        for name in COMMANDS:
            old, new = (seconds[name, side][1:] for side in ("before", "now"))
            ratio = median(b / a for a, b in zip(old, new, strict=True))
            floor = f"{median(seconds[name, 'least'][1:]):.2f}" if (name, "least") in seconds else ""
            rows.append(f"| {name} | {median(old):.2f} | {median(new):.2f} | {ratio:.2f} | {floor} |")
        files = [
            f"| lines of {name} | {lines_of(before, name)} | {lines_of(now, name)} | | |"
            for name in ("dvc.yaml", "dvc.lock")
        ]
    text = f"""# DVC's own time

Written by `benchmarks/dvc_time.py`: processor seconds, medians of {rounds} rounds in turn, commit {reference} and
today's; the ratio is the median of the rounds' ratios. DVC reads params.yaml for every stage; the rows "read once"
are with a cache put into DVC, to see what is left.

| | {reference} | now | ratio | a repository of one stage |
| --- | --- | --- | --- | --- |
{chr(10).join(rows + files)}
"""
    (RESULTS / "dvc_time.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
