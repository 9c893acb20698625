"""The stages that train models of dynamics, killed by SIGKILL."""

import numpy as np
import pandas as pd
import pytest

from soundgate.codecs.latent_store import LatentStoreWriter
from soundgate.tracks.structure.split import SPLITS
from tests.killed_training import LOOP, Training, check_killed_training
from tests.tracks.structure.test_dynamics import COMPARE, TRAIN_SETTINGS

N_FRAMES = 30


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Two latent stores of four speakers and their frame tables."""
    root = tmp_path_factory.mktemp("inputs")
    write_latents(root / "latents", root / "frames", 0)
    write_latents(root / "other", root / "other-frames", 1)
    for name, target in (("first", "latents"), ("second", "other")):
        (root / name).symlink_to(root / target)
        (root / f"{name}-frames").symlink_to(root / f"{'frames' if target == 'latents' else 'other-frames'}")
    return root


def write_latents(folder, frames, seed):
    writer = LatentStoreWriter(folder, 4, sample_rate=24_000, hop_length=320)
    generator, rows = np.random.default_rng(seed), []
    for u, split in enumerate(["train", "train", "holdout", "eval", "eval"]):
        writer.add(f"u{u}", generator.standard_normal((N_FRAMES, 4)).astype(np.float32))
        rows += [
            {"utt_id": f"u{u}", "speaker_id": f"s{u % 4}", "split": split, "t": t, "row": u * N_FRAMES + t}
            for t in range(N_FRAMES)
        ]
    writer.close()
    table = pd.DataFrame(rows).assign(energy=1.0, is_high_energy=True, pos_frac=0.5)
    table["split"] = pd.Categorical(table["split"], categories=SPLITS)
    for name in ("utt_id", "speaker_id"):
        table[name] = table[name].astype("category")
    table.to_parquet(frames)


@pytest.mark.slow
def test_killed_at_random_moments_the_training_ends_with_the_same_bytes(inputs, tmp_path):
    settings = TRAIN_SETTINGS | {
        "max_steps": LOOP["steps_per_epoch"], "evaluate_every": LOOP["steps_per_epoch"],
        "batch_size": LOOP["batch_size"], "checkpoint_s": LOOP["checkpoint_s"],
        "horizons": [1, 2],
    }  # fmt: skip
    training = Training(
        "stages.dynamics.train",
        {"seed": 0, "training_seed": 0, "dynamics": {"train": settings}},
        ("latents", "frames"),
        ("out", "metrics", "gates", "plots"),
        ("horizon_1", "horizon_2"),
    )
    check_killed_training(training, inputs, tmp_path)


@pytest.mark.slow
def test_killed_at_random_moments_the_comparison_ends_with_the_same_bytes(inputs, tmp_path):
    settings = COMPARE | {
        "max_steps": LOOP["steps_per_epoch"], "evaluate_every": LOOP["steps_per_epoch"],
        "batch_size": LOOP["batch_size"], "checkpoint_s": LOOP["checkpoint_s"],
        "contexts": {"few": {"frames": 2}}, "families": ["vmf", "gaussian"],
    }  # fmt: skip
    training = Training(
        "stages.dynamics.compare",
        {"seed": 0, "training_seed": 0, "dynamics": {"compare": settings}},
        ("first", "first-frames", "second", "second-frames"),
        ("metrics", "plots"),
        ("one-2-vmf", "one-2-gaussian", "two-2-vmf", "two-2-gaussian"),
        ("--names=one,two",),
    )
    check_killed_training(training, inputs, tmp_path)
