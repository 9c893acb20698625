"""What a finished run of the track leaves behind, in small."""

import json

import numpy as np
import pandas as pd

from soundgate.evaluation.listening.mel_picture import mel_picture
from soundgate.tracks.transfer.run_folder import RunFolder
from soundgate.tracks.transfer.samples.page import write_page

from .triage_clips import write_tone


def write_finished_run(root, profile="tiny", paths=("mel", "codec"), seed=0):
    """Write ``data/<profile>/transfer`` and ``metrics/<profile>/transfer`` under ``root``."""
    data, metrics = root / "data" / profile / "transfer", root / "metrics" / profile / "transfer"
    generator = np.random.default_rng(seed)
    for path in paths:
        run = RunFolder(data / path)
        run.write_state({"finished": True, "stages": [1, 2]})
        rows = [{"epoch": epoch, "step": 5 * epoch, "l1_loss": float(generator.random())} for epoch in (1, 2, 3)]
        run.write_history({1: rows, 2: [row | {"critic_loss": 0.5} for row in rows]})
        for stage in (1, 2):
            run.checkpoint(stage).parent.mkdir(exist_ok=True)
            run.checkpoint(stage).write_bytes(f"{path} {stage}".encode())
        (data / path / "model.safetensors").write_bytes(path.encode())
        (data / path / "config.json").write_text("{}")
    _write_pack(data / "samples/posttrain_samples", paths)
    metrics.mkdir(parents=True)
    (metrics / "lab3_exit_audit.json").write_text(json.dumps({"seed": seed}))
    gates = {
        "mel_mps": {"value": 0.93, "side": "above", "threshold": 0.9, "margin": 0.03, "verdict": "pass", "ci_low": 0.92,
                    "ci_high": 0.94, "n": 12},
        "mel_sf": {"value": None, "side": "above", "threshold": 0.85, "margin": None, "verdict": "fail"},
    }  # fmt: skip
    (metrics / "gates.json").write_text(json.dumps(gates))
    return data, metrics


def _write_pack(pack, paths):
    rows = []
    for path in paths:
        files = {f"{kind}_wav": f"{path}_{kind}.wav" for kind in ("source", "fake", "reconstruction")}
        for file in files.values():
            write_tone(pack / file, duration_s=0.2)
        mel_picture(pack / f"{path}.png", {"source": np.full((96, 256), -40.0)})
        rows.append({
            "clip_id": path, "path_kind": path, **files, "true_wav": "", "picture": f"{path}.png",
            "source_genre": "lofi", "target_genre": "classical", "score": "s1",
            "mps": 0.9, "sf": 0.8, "mel_distance": 2.0,
        })  # fmt: skip
    table = pd.DataFrame(rows)
    table.to_csv(pack / "generation_summary.csv", index=False)
    write_page(pack, table, "pack", {})
