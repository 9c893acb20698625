"""Which labelled tracks are used: enough sources in each genre, none that outweighs the others."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from soundgate.runtime.console import logger
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.transfer.labels.table import drop

STAGE = "transfer-labels"
SOURCE_SURPLUS = "surplus of its source"
GENRE_SURPLUS = "surplus of its genre"


def sources_of_genres(table: pd.DataFrame) -> dict[str, list[str]]:
    """Return the sources of each genre's kept tracks, sorted."""
    sources = table[table["kept"]].groupby("genre")["source"].unique()
    return {genre: sorted(own) for genre, own in sources.items()}


def require_sources(table: pd.DataFrame, least: int, otherwise: Literal["error", "report"]) -> dict[str, list[str]]:
    """Ask for sources in each genre: of one that has a single source, style and source are the same thing.

    Args:
        table: see `soundgate.tracks.transfer.labels.table.open_table`.
        least: sources.
        otherwise: raise, or warn.

    Returns:
        The genres with fewer, and their sources.

    Raises:
        CorpusError: there are such genres, and ``otherwise`` is ``error``.
    """
    few = {genre: own for genre, own in sources_of_genres(table).items() if len(own) < least}
    if few:
        found = "; ".join(f"{genre}: {', '.join(own)}" for genre, own in few.items())
        if otherwise == "error":
            remedy = (
                "Add sources, map genres together (genre_schema binary_acoustic_beats), or set "
                "transfer.labels.on_few_sources to report and trust no style that has one source."
            )
            raise CorpusError(
                "transfer.labels", expected=f"at least {least} sources in each genre", found=found, remedy=remedy
            )
        logger.warning("genres with fewer than %d sources, whose style cannot be told from them: %s", least, found)
    return few


def balance_sources(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Keep as many tracks of each source in a genre as the genre's smallest source has.

    Draws are keyed by group, so that of scores in several styles the same ones stay wherever they can.
    """
    ranked = _ranks(table, seed)
    sizes = table[table["kept"]].groupby(["genre", "source"]).size()
    limit = table["genre"].map(sizes.groupby("genre").min())
    return drop(table, ranked >= limit, SOURCE_SURPLUS)


def cap_genres(table: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """Keep at most so many tracks of each genre: one of each source in turn, drawn as `balance_sources` draws."""
    order = pd.DataFrame({"genre": table["genre"], "rank": _ranks(table, seed), "source": table["source"]})
    order = order[table["kept"]].sort_values(["genre", "rank", "source"])
    place = order.groupby("genre").cumcount().reindex(table.index, fill_value=0)
    return drop(table, place >= most, GENRE_SURPLUS)


def _ranks(table: pd.DataFrame, seed: int) -> pd.Series:
    """Return each kept track's place in the keyed order inside its genre and source; 0 for the others."""
    draws = {group: keyed_generator(seed, STAGE, group).random() for group in table["group"].unique()}
    kept = table[table["kept"]].assign(draw=table["group"].map(draws)).sort_values(["draw", "utt_id"])
    return kept.groupby(["genre", "source"]).cumcount().reindex(table.index, fill_value=0)
