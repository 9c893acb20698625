"""A repository of three stages in the form of the voice track's, whose arms train in no time; run it to run its arms.

Every training adds a line to the file that ``TOY_LOG`` names, and waits while there is one that ``TOY_BLOCK`` names.
"""

import subprocess
import sys
from pathlib import Path

from soundgate.runtime.console import set_up_logging
from soundgate.tracks.voice.ablations.command import AblationOptions, run_ablations
from soundgate.tracks.voice.ablations.judges import Check
from soundgate.tracks.voice.ablations.planning import Pipeline

PIPELINE = Pipeline(
    target="voice-audit",
    shared=("voice-speaker",),
    scores="metrics/{profile}/voice/scores.csv",
    audit="metrics/{profile}/voice/audit.json",
    checks={"similarity": Check("test", "real", "closer", 0.5)},
    trained="voice-train",
    trainer="stages.train",
    seed="voice.train.seed",
    sections=("voice.train",),
    modules=("stages.speaker", "stages.train", "stages.audit"),
)
FILES = {
    ".gitignore": "data/\nscratch/\n__pycache__/\n",
    ".dvcignore": "scratch/\n",
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvc/config": "[core]\n    analytics = false\n[hydra]\n    enabled = true\n    config_dir = conf\n",
    "ablations/tiny/README.md": "Runs.\n",
    "conf/config.yaml": "defaults: [voice, profile: other, ablation: baseline, _self_]\n",
    "conf/voice.yaml": """# @package voice
train: {seed: 0, effect: 0.0, fail: false}
ablations:
  baseline: baseline
  again: baseline_again
  arms: [better, broken]
  measures: {similarity: higher}
  endpoints: [similarity]
  alpha: 0.05
  n_bootstrap: 100
""",
    "conf/profile/tiny.yaml": "# @package _global_\nprofile: [tiny]\n",
    "conf/profile/other.yaml": "# @package _global_\nprofile: [other]\n",
    "conf/ablation/baseline.yaml": "# @package _global_\n",
    "conf/ablation/baseline_again.yaml": "# @package _global_\nvoice: {train: {seed: 1000}}\n",
    "conf/ablation/better.yaml": "# @package _global_\nvoice: {train: {effect: 5.0}}\n",
    "conf/ablation/broken.yaml": "# @package _global_\nvoice: {train: {fail: true}}\n",
    "params.yaml": "profile: [other]\n",
    "stages/__init__.py": "",
    "stages/speaker.py": """import os, sys
from pathlib import Path
with open(os.environ["TOY_LOG"], "a") as log: log.write("speaker\\n")
Path(sys.argv[1]).parent.mkdir(parents=True, exist_ok=True); Path(sys.argv[1]).write_text("speaker")
""",
    "stages/train.py": """import os, sys, time
from pathlib import Path
seed, effect, fail = int(sys.argv[2]), float(sys.argv[3]), sys.argv[4] == "true"
with open(os.environ["TOY_LOG"], "a") as log: log.write(f"train {seed} {effect:g}\\n")
while os.path.exists(os.environ["TOY_BLOCK"]): time.sleep(0.1)
if fail: sys.exit("this arm breaks")
Path(sys.argv[1]).write_text(f"{seed} {effect}")
print("Device: cpu (1 threads)", "voice-train: at most 12 MB", "voice-train: done in 3.5 s", sep="\\n")
""",
    "stages/audit.py": """import sys
from pathlib import Path
seed, effect = map(float, Path(sys.argv[1]).read_text().split())
value = effect + 0.1 * (seed * 7.3 % 1)
out = Path(sys.argv[2]); out.parent.mkdir(parents=True, exist_ok=True)
out.write_text("source,target,utterance,measure,value\\n" + f"a,b,u,similarity,{value}\\n")
heard = '{"value": 1.0, "ci_low": 0.7, "ci_high": 1.0, "n": 9}'
(out.parent / "audit.json").write_text('{"systems": {"test": {"real": {"closer": ' + heard + "}}}}")
""",
    "dvc.yaml": """stages:
  voice-speaker:
    matrix: {p: "${profile}"}
    cmd: python -m stages.speaker data/${item.p}/speaker
    deps: [stages/speaker.py]
    outs: ["data/${item.p}/speaker"]
  voice-train:
    matrix: {p: "${profile}"}
    cmd: >-
      python -m stages.train data/${item.p}/converter
      ${voice.train.seed} ${voice.train.effect} ${voice.train.fail}
    deps: [stages/train.py, "data/${item.p}/speaker"]
    params: [voice.train.seed, voice.train.effect, voice.train.fail]
    outs: ["data/${item.p}/converter"]
  voice-audit:
    matrix: {p: "${profile}"}
    cmd: python -m stages.audit data/${item.p}/converter metrics/${item.p}/voice/scores.csv
    deps: [stages/audit.py, "data/${item.p}/converter"]
    outs:
    - metrics/${item.p}/voice/scores.csv:
        cache: false
    - metrics/${item.p}/voice/audit.json:
        cache: false
""",
}


def write_toy(folder):
    """Write the repository and commit it."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "toy"]):
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        subprocess.run(["git", *identity, *command], cwd=folder, check=True)


if __name__ == "__main__":
    set_up_logging()
    arms, n_seeds, jobs = sys.argv[1].split(","), int(sys.argv[2]), int(sys.argv[3])
    print(run_ablations(AblationOptions(tuple(arms), n_seeds, "tiny", jobs, (), ()), PIPELINE, Path()))
