"""The page of the sample pack: every clip's players, picture and scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from soundgate.evaluation.listening import page

PLAYERS = {
    "source_wav": "Source",
    "fake_wav": "Transferred",
    "reconstruction_wav": "Reconstruction",
    "true_wav": "True target",
}
FACETS = {"path_kind": "Path", "source_genre": "From", "target_genre": "To", "score": "Score"}
PICTURE = "picture"


def write_page(folder: str | Path, rows: pd.DataFrame, title: str, facts: Mapping[str, object]) -> None:
    """Write ``index.html`` of a sample pack.

    Args:
        folder: where the pack lies.
        rows: one for each clip: ``clip_id``, ``path_kind``, ``source_genre``, ``target_genre``, ``score``; files
            relative to the folder in ``source_wav``, ``fake_wav``, ``reconstruction_wav``, ``true_wav`` and
            ``picture`` (empty where there is none); every other numeric column is a score, shown in the order given.
        title: the page's heading.
        facts: what the reader should know of the pack, by name.

    Raises:
        FormatError: see `soundgate.evaluation.listening.page.write_page`.
    """
    scores = [column for column in rows.select_dtypes("number") if column not in FACETS]
    cards = [
        page.Card(
            name=row["clip_id"],
            facets={label: row[column] for column, label in FACETS.items()},
            scores={column: row[column] for column in scores},
            players={label: row[column] for column, label in PLAYERS.items()},
            picture=row[PICTURE],
        )
        for row in rows.to_dict("records")
    ]
    page.write_page(folder, cards, title, facts)
