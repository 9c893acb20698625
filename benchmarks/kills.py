"""Kills `soundgate repro` at random moments, again and again, and sees whether the plain command goes on by itself.

In a clone of its own the pipeline is run once without a disturbance, then anew with kills (SIGKILL) of the parent,
of one of its stages, and of the whole process group. After each kill the same command runs again, until the next kill.
Whenever the pipeline is through, its lock file is compared with that of the undisturbed run, everything is removed and
it begins anew, until there were as many kills as asked for.

    python benchmarks/kills.py [--kills 51] [--profile tiny] [--track structure --track voice]
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import click
import psutil
import yaml

RESULTS = Path(__file__).parent / "results"
KINDS = ("parent", "stage", "group")
MADE = ("data", "scratch", "metrics", "plots", "runs", "dvc.lock", ".dvc/cache", ".dvc/tmp")
GONE_WITHIN_S = 10.0


def command(tracks: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "soundgate.cli", "repro", "--jobs", "2", *(f"--track={track}" for track in tracks)]


def environment(clone: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(clone / "src"), "SOUNDGATE_WORKERS": "1"}


def make_clone(folder: Path, profile: str) -> Path:
    root = Path(__file__).parents[1]
    clone = folder / "clone"
    subprocess.run(["git", "clone", "-q", str(root), str(clone)], check=True)
    for key, value in (("user.name", "benchmark"), ("user.email", "benchmark@example.org")):
        subprocess.run(["git", "config", key, value], cwd=clone, check=True)
    (clone / "dvc.lock").unlink(missing_ok=True)
    compose = [sys.executable, "-m", "soundgate.pipeline.compose", f"profile={profile}"]
    subprocess.run(compose, cwd=clone, env=environment(clone), check=True)
    return clone


def start(clone: Path, tracks: tuple[str, ...]) -> subprocess.Popen:
    log = (clone / "kills.log").open("a")
    return subprocess.Popen(
        command(tracks), cwd=clone, env=environment(clone), stdout=log, stderr=log, start_new_session=True
    )


def begin_anew(clone: Path) -> None:
    for name in MADE:
        path = clone / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def kill(run: subprocess.Popen, kind: str, draw: random.Random) -> list[psutil.Process]:
    """Kill as asked for; return the processes there were."""
    family = psutil.Process(run.pid).children(recursive=True)
    if kind == "parent":
        run.kill()
    elif kind == "group":
        os.killpg(run.pid, signal.SIGKILL)
    else:
        stages = [process for process in family if "stages." in " ".join(command_of(process))]
        draw.choice(stages or family or [psutil.Process(run.pid)]).kill()
    return family


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def left_over(family: list[psutil.Process]) -> int:
    """Return how many processes still live after a while."""
    _, alive = psutil.wait_procs(family, timeout=GONE_WITHIN_S)
    return sum(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in alive)


def is_whole(lock: Path) -> bool:
    try:
        return not lock.exists() or isinstance(yaml.safe_load(lock.read_text())["stages"], dict)
    except (yaml.YAMLError, TypeError, KeyError):
        return False


@click.command()
@click.option("--kills", "n_kills", default=51, show_default=True, help="How many kills, a third of each kind.")
@click.option("--profile", default="tiny", show_default=True)
@click.option("--track", "tracks", multiple=True, help="Run only these; by default all.")
@click.option("--longest-s", default=14.0, show_default=True, help="A run is killed after 0.3 to so many seconds.")
@click.option("--seed", default=0, show_default=True)
def main(n_kills: int, profile: str, tracks: tuple[str, ...], longest_s: float, seed: int) -> None:
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        clone = make_clone(Path(folder), profile)
        begun = time.monotonic()
        assert start(clone, tracks).wait() == 0, (clone / "kills.log").read_text()[-3000:]
        undisturbed_s = time.monotonic() - begun
        wanted = (clone / "dvc.lock").read_bytes()
        begin_anew(clone)
        went_on, rounds = disturb(clone, tracks, n_kills, longest_s, draw, wanted)
    rows = "\n".join(
        f"| {kind} | {went_on[kind, 'kills']} | {went_on[kind, 'went on']} | {went_on[kind, 'left over']} |"
        f" {went_on[kind, 'lock file cut']} |"
        for kind in KINDS
    )
    text = f"""# Kills of `soundgate repro`

Written by `benchmarks/kills.py`: profile {profile}, tracks {", ".join(tracks) or "all"}, undisturbed in
{undisturbed_s:.0f} s; killed after 0.3 to {longest_s:g} s, seed {seed}.

| killed | kills | the next plain command went on | processes left over | lock files cut |
| --- | --- | --- | --- | --- |
{rows}

Whole pipelines through in spite of kills: {rounds["through"]}, of these with the lock file of the undisturbed run, byte
for byte: {rounds["same bytes"]}.
"""
    (RESULTS / "kills.md").write_text(text)
    print(text)


def disturb(clone, tracks, n_kills, longest_s, draw, wanted) -> tuple[Counter, Counter]:
    """Run and kill; return counts by kind of kill, and of whole pipelines."""
    counts, rounds = Counter(), Counter()
    done, last = 0, None
    while done < n_kills or last is not None:
        run = start(clone, tracks)
        patience = draw.uniform(0.3, longest_s) if done < n_kills else None
        try:
            code = run.wait(patience)
        except subprocess.TimeoutExpired:
            kind = KINDS[done % len(KINDS)]
            family = kill(run, kind, draw)
            code = run.wait()
            done += 1
            counts[kind, "kills"] += 1
            counts[kind, "left over"] += left_over(family) if kind != "stage" else 0
            counts[kind, "lock file cut"] += not is_whole(clone / "dvc.lock")
            if last is not None:  # The run before this kill was under way: it had gone on from the last.
                counts[last, "went on"] += 1
            last = kind
            print(f"kill {done} of {n_kills}: {kind}, after {patience:.1f} s", flush=True)
            continue
        if code:
            print((clone / "kills.log").read_text()[-2000:])
            raise SystemExit(f"after a kill of kind {last} the plain command ended with exit code {code}")
        if last is not None:
            counts[last, "went on"] += 1
        last = None
        rounds["through"] += 1
        rounds["same bytes"] += (clone / "dvc.lock").read_bytes() == wanted
        begin_anew(clone)
    return counts, rounds


if __name__ == "__main__":
    main()
