"""docs/cluster.md: its configuration of SLURM gives a job script, and workers compute as stages do."""

import json
import os
import re
import signal
import subprocess
import sys

import dask
import pytest
import yaml

from soundgate.runtime import instructions
from tests.pipeline_file import ROOT, stage_entries

TEXT = (ROOT / "docs/cluster.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def exports(text):
    return dict(re.findall(r"export (\w+)=(\S+)$", text, re.MULTILINE))


@pytest.fixture
def configuration():
    (text,) = blocks("yaml")
    return yaml.safe_load(text)


@pytest.mark.skipif(not instructions._has_avx2(), reason="pins nothing")
def test_workers_are_given_the_instructions_that_stages_compute_with(configuration):
    code = "import json, os, stages; print(json.dumps(dict(os.environ)))"
    bare = {key: value for key, value in os.environ.items() if key not in (*instructions._PINS, instructions.VARIABLE)}
    command = [sys.executable, "-c", code]
    environment = json.loads(subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, check=True).stdout)
    pins = {name: environment[name] for name in instructions._PINS}
    by_hand = next(block for block in blocks("bash") if "dask worker" in block)
    prologue = "\n".join(configuration["jobqueue"]["slurm"]["job-script-prologue"])
    assert exports(by_hand) == exports(prologue) == pins and len(pins) == 5


def test_the_configuration_gives_a_job_script(configuration, monkeypatch, capsys):
    jobqueue = pytest.importorskip("dask_jobqueue")
    names, asked = {}, []
    configuration["jobqueue"]["slurm"]["scheduler-options"] |= {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    (script,) = blocks("python")
    with dask.config.set(dask.config.merge(dask.config.config, configuration)):
        with monkeypatch.context() as patch:
            patch.setattr(jobqueue.SLURMCluster, "scale", lambda cluster, **size: asked.append(size))
            patch.setattr(signal, "pause", lambda: None)
            exec(compile(script, "docs/cluster.md", "exec"), names)
        address = names["cluster"].scheduler_address
        names["cluster"].close()
    printed = capsys.readouterr().out
    assert asked == [{"jobs": 4}] and printed.endswith(f"SOUNDGATE_CLUSTER={address}\n")
    for line in ("#SBATCH -p cpu", "#SBATCH -n 1", "#SBATCH --cpus-per-task=8", "#SBATCH -t 04:00:00"):
        assert line in printed.splitlines()
    (worker,) = [line for line in printed.splitlines() if "dask_worker" in line]
    assert worker.startswith(f".venv/bin/python -m distributed.cli.dask_worker {address} ")
    assert all(option in worker for option in ("--nthreads 1 ", "--nworkers 8 ", "--no-dashboard"))
    assert printed.index("cd /shared/soundgate") < printed.index("export MKL_CBWR") < printed.index(worker)


def test_stages_that_are_named_exist():
    named = set(re.findall(r"`((?:rooms|structure|dynamics)-\w+)`|-s ([\w-]+)@", TEXT))
    names = {name for pair in named for name in pair if name}
    assert names <= set(stage_entries()) and len(names) >= 5
