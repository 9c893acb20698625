"""The plots of a run: tables for `dvc plots`, and one picture of them all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from soundgate.runtime.figures import label_text, save_figure
from soundgate.runtime.files import atomic_path
from soundgate.tracks.rooms.measures import StoredAudio


def write_plots(
    triples: pd.DataFrame, effects: pd.DataFrame, stored: StoredAudio, rejected: dict[str, int], sample_rate: int,
    folder: Path,
) -> None:  # fmt: skip
    """Write `snr.csv`, `rt60.csv`, `effects.csv`, `durations.csv`, `rejects.csv` and `overview.png`.

    Args:
        triples, effects: from `measures.read_triples`.
        stored: what was measured of stored audio.
        rejected: number of rejections by stage and reason.
        sample_rate: Hz, of the triples.
        folder: to write into.
    """
    tables = {
        "snr": _histogram(stored.levels["stored_snr_db"].dropna(), np.arange(0, 50, 2.5), "snr_db"),
        "rt60": stored.rooms.sort_values("rt60_s"),
        "effects": _counts(effects["name"], "effect"),
        "durations": _histogram(triples["valid_samples"] / sample_rate, np.arange(0, 5.25, 0.25), "duration_s"),
        "rejects": pd.DataFrame(sorted(rejected.items()) or [("none", 0)], columns=["reason", "count"]),
    }
    for name, table in tables.items():
        with atomic_path(folder / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
    save_figure(_overview(tables, stored), folder / "overview.png", dpi=110)


def _histogram(values: pd.Series, edges: np.ndarray, name: str) -> pd.DataFrame:
    edges = np.append(edges, max(edges[-1], float(values.max()) if len(values) else 0) + 1e-6)
    counts, _ = np.histogram(values, edges)
    return pd.DataFrame({name: edges[:-1], "count": counts})


def _counts(values: pd.Series, name: str) -> pd.DataFrame:
    counts = values.value_counts().sort_index()
    return pd.DataFrame({name: counts.index, "count": counts.to_numpy()})


def _overview(tables: dict[str, pd.DataFrame], stored: StoredAudio) -> Figure:
    figure = Figure((12, 7), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    axes[0].plot(stored.levels["requested_snr_db"], stored.levels["stored_snr_db"], ".", ms=4)
    axes[0].set(title="Noise in finished sources", xlabel="requested SNR (dB)", ylabel="stored SNR (dB)")
    axes[1].bar(tables["snr"]["snr_db"], tables["snr"]["count"], width=2.5, align="edge")
    axes[1].set(title="Levels of the noise", xlabel="stored SNR (dB)", ylabel="triples")
    rooms = stored.rooms
    axes[2].plot(rooms["rt60_s"], rooms["stored_rt60_s"], "o", ms=4)
    limit = 1.05 * float(rooms["rt60_s"].max()) if len(rooms) else 1.0
    axes[2].plot([0, limit], [0, limit], color="grey", lw=0.8)
    axes[2].set(title="Target rooms", xlabel="T60 in the catalogue (s)", ylabel="T60 of finished targets (s)")
    axes[3].barh(tables["effects"]["effect"], tables["effects"]["count"])
    axes[3].set(title="Degradations used", xlabel="triples")
    axes[4].bar(tables["durations"]["duration_s"], tables["durations"]["count"], width=0.25, align="edge")
    axes[4].set(title="Voice in a clip", xlabel="seconds before padding", ylabel="triples")
    axes[5].barh([label_text(reason) for reason in tables["rejects"]["reason"]], tables["rejects"]["count"])
    axes[5].set(title="Rejected", xlabel="count")
    return figure
