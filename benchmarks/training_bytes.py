"""Whether small trainings of all tracks give the same weights on processors of other makers.

Each takes a few steps on what the tests plant; hashed are its weights and what its optimisers keep. Other processors
are emulated, as in `instruction_sets.py`; their caches are the emulator's. The hashes of every real processor that this
ran on are kept in the JSON file. One thread.

    python benchmarks/training_bytes.py [--processors Haswell,EPYC]
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
from instruction_sets import RESULTS, ROOT, THREADS, processor_name

N_STEPS = 3


def gan_tasks(folder: Path) -> Iterator[tuple[str, object, int]]:
    from tests.tracks.voice.planted_gan import new_task, write_voices

    cache = write_voices(folder / "voices")
    yield "voice, GAN", new_task(cache), 4
    yield "voice, GAN, gradient penalty and speaker encoder", new_task(cache, r1_gamma=1.0, speaker_trainable=True), 4


def speaker_tasks(folder: Path) -> Iterator[tuple[str, object, int]]:
    import torch

    from soundgate.tracks.voice.speaker.settings import SpeakerSettings
    from soundgate.tracks.voice.speaker.task import SpeakerTask
    from tests.tracks.voice.spoken import spoken_cache
    from tests.tracks.voice.test_speaker_encoder import SETTINGS

    cache, _ = spoken_cache(folder / "spoken")
    yield (
        "voice, speaker encoder",
        SpeakerTask(cache, SpeakerSettings.model_validate(SETTINGS), 0, 80, torch.device("cpu")),
        8,
    )


def editor_tasks(folder: Path) -> Iterator[tuple[str, object, int]]:
    from soundgate.tracks.editor.policy.imitate import ImitationTask
    from soundgate.tracks.editor.policy.settings import ImitationSettings
    from soundgate.tracks.editor.reconstruct.task import ReconstructionTask
    from tests.tracks.editor.planted import planted_cache
    from tests.tracks.editor.policies import CPU, IMITATION, ppo_task
    from tests.tracks.editor.test_reconstruction import SETTINGS

    cache = planted_cache(folder / "pairs")
    yield "editor, PPO", ppo_task(cache), 6
    yield "editor, imitation", ImitationTask(cache, ImitationSettings.model_validate(IMITATION), 0, CPU, 50), 6
    yield "editor, reconstruction", ReconstructionTask(cache, SETTINGS, 0, CPU, 6), 4


def mel_tasks(folder: Path) -> Iterator[tuple[str, object, int]]:
    from soundgate.tracks.transfer.content.model import load_content
    from tests.tracks.transfer import test_mel_training as mel
    from tests.tracks.transfer.planted import write_labs

    root = folder / "labs"
    root.mkdir()
    write_labs(root, *mel.planted_music())
    cache, targets = mel.ChunkCache.open(root / "cache"), mel.StyleTargets.open(root / "style")
    frozen = mel.Frozen(cache, load_content(root / "content"), targets, mel.torch.device("cpu"))
    yield "transfer, mels, identity", mel.task(mel.IdentityTask, frozen), 4
    yield "transfer, mels", mel.task(mel.TransferTask, frozen), 4


def codec_tasks(folder: Path) -> Iterator[tuple[str, object, int]]:
    from tests.tracks.transfer import test_codec_training as codec

    root = folder / "codec"
    root.mkdir()
    codec.write_planted_labs(root, 5)
    latents = codec.LatentCache.open(root / "latents")
    frozen = codec.Frozen(
        codec.ChunkCache.open(root / "cache"), latents, codec.load_content(root / "content"),
        codec.StyleTargets.open(root / "style"), codec.StyleBank.open(root / "bank"),
        codec.sound_of(latents, codec.MelSettings()), codec.load_mel_model(root / "mel"), codec.torch.device("cpu"),
    )  # fmt: skip
    for number in (1, 2, 3):
        yield f"transfer, codec, stage {number}", codec.task(frozen, number), 4


def worker(folder: Path) -> dict[str, str]:
    """Return of each training the hash of what it has learnt after its steps."""
    import_module("stages")  # It pins, as in every stage, and so comes first.
    import numpy as np
    import torch

    hashes = {}
    for tasks in (gan_tasks, speaker_tasks, editor_tasks, mel_tasks, codec_tasks):
        for name, task, n_items in tasks(folder):
            for step in range(N_STEPS):
                torch.manual_seed(step)
                task.step(np.arange(n_items), step)
            hashes[name] = _digest(task)
    return hashes


def _digest(task: object) -> str:
    digest = hashlib.sha256()
    kept = [part.state_dict() for part in task.modules.values()]
    kept += [state for one in task.optimisers.values() for state in one.state_dict()["state"].values()]
    for state in kept:
        for name in sorted(state):
            digest.update(state[name].detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def run(processor: str | None = None) -> dict[str, str]:
    """Run the worker on this or an emulated processor."""
    emulator = ["qemu-x86_64", "-cpu", processor] if processor else []
    paths = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    with tempfile.TemporaryDirectory() as folder:
        command = [*emulator, sys.executable, __file__, "--worker", folder]
        done = subprocess.run(command, env=os.environ | THREADS | paths, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout.splitlines()[-1])


@click.command()
@click.option("--processors", default="Haswell,EPYC", show_default=True, help="Emulated; see qemu-x86_64 -cpu help.")
@click.option("--worker", "folder", hidden=True)
def main(processors: str, folder: str | None) -> None:
    if folder:
        print(json.dumps(worker(Path(folder))))
        return
    path, here = RESULTS / "training_bytes.json", run()
    kept = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(kept | {processor_name(): here}, indent=1) + "\n")
    columns = {name: hashes for name, hashes in kept.items() if name != processor_name()}
    columns |= {f"emulated {one}": run(one) for one in processors.split(",") if one}
    if not columns:
        print(f"{path} has the hashes of this processor; there is no other yet to hold them against")
        return
    lines = [f"| training | {' | '.join(columns)} |", "| --- " * (1 + len(columns)) + "|"]
    for name, digest in here.items():
        same = ["same" if column.get(name) == digest else "other" for column in columns.values()]
        lines.append(f"| {name} | {' | '.join(same)} |")
    text = "\n".join(lines)
    title = (
        f"# Bytes of trainings\n\nWritten by `benchmarks/training_bytes.py` on: {processor_name()}. {N_STEPS} steps.\n"
    )
    (RESULTS / "training_bytes.md").write_text(f"{title}\nThe same weights and averages as here?\n\n{text}\n")
    print(text)


if __name__ == "__main__":
    main()
