"""A few samples of a listening pack, made small enough to lie beside the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from soundgate.audio.encoded import write_other
from soundgate.audio.exact import read_exact
from soundgate.evaluation.listening.page import CARDS, Card, read_cards

# Bytes of sound that a pack may take beside the page.
_MOST_BYTES = 4_000_000


@dataclass(frozen=True)
class Sample:
    """One sample of the report.

    Args:
        name: in its pack.
        facts: what it is, and its scores, as text by label.
        players: paths relative to the page, by caption.
    """

    name: str
    facts: Mapping[str, str]
    players: Mapping[str, str]


def choose(cards: Sequence[Card], count: int) -> list[Card]:
    """Return up to ``count`` cards that differ as much as they can in what they are, in the order of the pack.

    Cards without a player are passed over. Each next card shares the fewest facets with those chosen; scores are not
    looked at.
    """
    left = [card for card in cards if any(card.players.values())]
    chosen: list[Card] = []
    while left and len(chosen) < count:
        shared = [sum(_alike(card, other) for other in chosen) for card in left]
        chosen.append(left.pop(shared.index(min(shared))))
    return sorted(chosen, key=lambda card: list(cards).index(card))


def copy_samples(pack: Path, folder: Path, prefix: str, count: int) -> list[Sample]:
    """Write the sounds of a few samples of a pack as MP3, and return what the page shows of them.

    Args:
        pack: folder with a listening page; one without `CARDS` gives no sample.
        folder: of the page; the sounds go to its folder ``sounds``.
        prefix: of the files' names, distinct for each pack.
        count: of samples, at most; none more once their sounds take 4 MB.

    Raises:
        FormatError: the pack's list of cards is damaged.
        AudioError: a sound cannot be read.
    """
    if not (pack / CARDS).is_file():
        return []
    samples, size = [], 0
    for number, card in enumerate(choose(read_cards(pack), count)):
        players = {}
        for place, (caption, file) in enumerate((label, file) for label, file in card.players.items() if file):
            players[caption] = f"sounds/{prefix}_{number}_{place}.mp3"
            copy = folder / players[caption]
            copy.parent.mkdir(parents=True, exist_ok=True)
            write_other(copy, read_exact(pack / file))
            size += copy.stat().st_size
        facts = {label: value for label, value in card.facets.items() if value}
        samples.append(Sample(card.name, facts | {label: f"{x:.3g}" for label, x in card.scores.items()}, players))
        if size > _MOST_BYTES:
            break
    return samples


def _alike(one: Card, other: Card) -> int:
    return sum(other.facets.get(label) == value for label, value in one.facets.items())
