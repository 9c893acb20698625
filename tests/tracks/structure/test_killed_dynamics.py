"""Stage `dynamics-train`, killed by SIGKILL."""

import numpy as np
import pandas as pd
import pytest

from soundgate.codecs.latent_store import LatentStoreWriter
from soundgate.tracks.structure.split import SPLITS
from tests.killed_training import LOOP, Training, check_killed_training
from tests.tracks.structure.test_dynamics import TRAIN_SETTINGS

N_FRAMES = 30


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A latent store of four speakers and its frame table."""
    root = tmp_path_factory.mktemp("inputs")
    writer = LatentStoreWriter(root / "latents", 4, sample_rate=24_000, hop_length=320)
    generator, rows = np.random.default_rng(0), []
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
    table.to_parquet(root / "frames")
    return root


@pytest.mark.slow
def test_killed_at_random_moments_the_training_ends_with_the_same_bytes(inputs, tmp_path):
    settings = TRAIN_SETTINGS | {
        "max_steps": LOOP["steps_per_epoch"], "evaluate_every": LOOP["steps_per_epoch"],
        "batch_size": LOOP["batch_size"], "checkpoint_s": LOOP["checkpoint_s"],
        "horizons": [1, 2], "ridges": [0.1], "rollout": {"enabled": True, "steps": 4, "n_starts": 4},
    }  # fmt: skip
    training = Training(
        "stages.dynamics.train",
        {"seed": 0, "dynamics": {"train": settings}},
        ("latents", "frames"),
        ("out", "metrics", "gates", "plots"),
        ("horizon_1", "horizon_2"),
    )
    check_killed_training(training, inputs, tmp_path)
