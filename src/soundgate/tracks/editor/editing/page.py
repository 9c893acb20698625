"""The page of rendered edits: every pair's players, pictures and figures."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from soundgate.evaluation.listening import page

_FIGURES = {
    "raw_seconds": "raw length (s)",
    "seconds": "length (s)",
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "copied": "copied bit for bit (share)",
}


def write_page(folder: str | Path, rows: pd.DataFrame, title: str) -> None:
    """Write ``index.html``.

    Args:
        folder: of the files.
        rows: one for each edit: ``pair_id``, ``edit``, the files ``sound`` (may be empty), ``picture`` and
            ``edit_list``, and the figures ``raw_seconds``, ``seconds``, ``accuracy``, ``macro_f1``, ``copied``.
        title: the heading.

    Raises:
        FormatError: see `soundgate.evaluation.listening.page.write_page`.
    """
    cards = [
        page.Card(
            name=f"{row['pair_id']}: {row['edit']}",
            facets={"Recording": row["pair_id"], "Edit": row["edit"]},
            scores={label: row[column] for column, label in _FIGURES.items()},
            players={"Edited": row["sound"]},
            picture=row["picture"],
            links={"edit list": row["edit_list"]},
        )
        for row in rows.to_dict("records")
    ]
    page.write_page(folder, cards, title, {"recordings": rows["pair_id"].nunique(), "edits": len(rows)})
