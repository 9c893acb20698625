"""The page of voice conversions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from soundgate.evaluation.listening.page import Card, write_page

PAGE = "samples.html"
_SCORES = {
    "similarity_to_target": "similarity to target",
    "similarity_to_source": "similarity to source",
    "spread": "spread over time",
    "drift": "drift over time",
    "clipped_samples": "clipped samples",
    "short_of_db": "quieter than wished (dB)",
}
_FACETS = {"kind": "Kind", "sample": "Content", "source": "From", "target": "To"}
_PLAYERS = {
    "original": "Original",
    "reconstruction": "Reconstruction",
    "converted": "Converted",
    "world_ot": "Without training: WORLD",
    "knn": "Without training: nearest neighbours",
    "voice": "Target's own voice",
}


def write_samples_page(folder: Path, summary: pd.DataFrame, title: str) -> None:
    """Write ``samples.html`` of a summary; see `soundgate.tracks.voice.samples.generate`."""
    cards = [
        Card(
            name=f"{row['sample']}: {row['source']} to {row['target']}",
            facets={label: row[column] for column, label in _FACETS.items()},
            scores={label: row[column] for column, label in _SCORES.items() if pd.notna(row[column])},
            players={label: row[column] for column, label in _PLAYERS.items() if pd.notna(row[column])},
            picture=row["picture"],
            links={"metadata": row["metadata"]},
        )
        for row in summary.to_dict("records")
    ]
    facts = {"passages": summary["sample"].nunique(), "conversions": len(summary)}
    write_page(folder, cards, title, facts, PAGE)
