"""A repository of two tracks whose trainings take no time; run it to measure their spread over seeds.

Every training adds a line to the file that ``TOY_LOG`` names, and waits while there is one that ``TOY_BLOCK`` names.
"""

import subprocess
import sys
from pathlib import Path

from soundgate.pipeline.seeds.running import SeedOptions, SeedRuns
from soundgate.runtime.console import set_up_logging

STAGE = """import json, os, sys, time
from pathlib import Path
verb, *paths, seed = sys.argv[1:]
with open(os.environ["TOY_LOG"], "a") as log: log.write(f"{verb} {seed}\\n")
out = Path(paths[-1]); out.parent.mkdir(parents=True, exist_ok=True)
if verb == "corpus":
    out.write_text("1")
elif verb.startswith("train"):
    while os.path.exists(os.environ["TOY_BLOCK"]): time.sleep(0.1)
    if f"{verb} {seed}" == os.environ.get("TOY_FAIL"): sys.exit("this training breaks")
    out.write_text(f"{Path(paths[0]).read_text()} {seed}")
else:
    value = int(Path(paths[0]).read_text().split()[1]) / 10
    gate = {"value": value, "side": "above", "threshold": 0.3, "margin": value - 0.3, "verdict": "pass"}
    out.write_text(json.dumps({"gain": gate, "lost": gate | {"value": None, "margin": None, "verdict": "fail"}}))
"""
TRACK = """  {track}-train:
    cmd: python stage.py train-{track} data/corpus data/{track} ${{training_seed}}
    deps: [stage.py, data/corpus]
    params: [training_seed]
    outs: [data/{track}]
  gates-{track}:
    matrix: {{p: "${{profile}}"}}
    cmd: python stage.py gates data/{track} metrics/${{item.p}}/{track}/gates.json 0
    deps: [stage.py, data/{track}]
    outs:
    - metrics/${{item.p}}/{track}/gates.json:
        cache: false
"""
FILES = {
    ".gitignore": "/data/\n/scratch/\n",
    ".dvcignore": "scratch/\n",
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvc/config": "[core]\n    analytics = false\n[hydra]\n    enabled = true\n    config_dir = conf\n",
    "conf/config.yaml": "defaults: [gates, profile: tiny, _self_]\nseed: 0\ntraining_seed: 0\nfurther: 1\n",
    "conf/gates.yaml": "# @package gates\nvoice: {trained: [voice-train]}\nrooms: {trained: []}\n"
    "editor: {trained: [editor-train]}\n",
    "conf/profile/tiny.yaml": "# @package _global_\nprofile: [tiny]\n",
    "params.yaml": "profile: [tiny]\ntraining_seed: 0\n",
    "code.yaml": "stages: {voice-train: one, editor-train: one}\n",
    "stage.py": STAGE,
    "dvc.yaml": "stages:\n  corpus:\n    cmd: python stage.py corpus data/corpus 0\n    deps: [stage.py]\n"
    "    outs: [data/corpus]\n" + TRACK.format(track="voice") + TRACK.format(track="editor"),
}


def commit(folder, message):
    """Commit everything."""
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["add", "-A"], ["commit", "-qm", message]):
        subprocess.run(["git", *identity, *command], cwd=folder, check=True)


def write_toy(folder):
    """Write the repository and commit it."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    commit(folder, "toy")


def measure(n_seeds, jobs=1, tracks=(), overrides=()):
    """Measure the spread of the repository in the working directory; return the files written."""
    return SeedRuns(SeedOptions("tiny", tuple(tracks), n_seeds, jobs, tuple(overrides)), Path()).run()


if __name__ == "__main__":
    set_up_logging()
    print(*measure(int(sys.argv[1]), int(sys.argv[2])))
