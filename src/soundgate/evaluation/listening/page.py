"""One page for every pack of samples: each one's players, picture and scores, filtered, searched and sorted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined

from soundgate.evaluation.listening.template import TEMPLATE
from soundgate.evaluation.verdicts import finite
from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import write_json, write_text

PAGE, CARDS = "index.html", "cards.json"


@dataclass(frozen=True)
class Card:
    """One sample of a page.

    Files are relative to the page's folder; an empty name stands for one that there is not.

    Args:
        name: distinct on the page.
        facets: what it is, by label; the page filters by each. The same labels on every card.
        scores: numbers by label; the page sorts by each.
        players: sound files by caption.
        picture: an image.
        links: other files by caption.
    """

    name: str
    facets: Mapping[str, str]
    scores: Mapping[str, float]
    players: Mapping[str, str]
    picture: str = ""
    links: Mapping[str, str] = field(default_factory=dict)


def write_page(
    folder: str | Path, cards: Sequence[Card], title: str, facts: Mapping[str, object], name: str = PAGE
) -> None:
    """Write a page to listen on, and what it shows as JSON (`read_cards`).

    It needs nothing but the files beside it: it opens from disk and from any server.

    Args:
        folder: where the samples lie.
        cards: at least one, in the order of the page.
        title: the page's heading.
        facts: what the reader should know of the pack, by name.
        name: of the page's file.

    Raises:
        FormatError: there is no card, names repeat, or a file named is not in the folder.
    """
    path = Path(folder) / name
    if not cards:
        raise FormatError(path, expected="samples to listen to", found="none")
    if len({card.name for card in cards}) < len(cards):
        raise FormatError(path, expected="distinct names", found="repeats")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(TEMPLATE).render(
        title=title,
        facts={str(label): _text(value) for label, value in facts.items()},
        cards=[_shown(path, card) for card in cards],
        scores=list(dict.fromkeys(label for card in cards for label in card.scores)),
        filters={label: sorted({card.facets[label] for card in cards}) for label in cards[0].facets},
    )
    scores = [{label: finite(value) for label, value in card.scores.items()} for card in cards]
    plain = [asdict(card) | {"scores": own} for card, own in zip(cards, scores, strict=True)]
    write_json(Path(folder) / CARDS, {"cards": plain})
    write_text(path, page)


def read_cards(folder: str | Path) -> list[Card]:
    """Return the cards of a folder's page, in its order; scores that are not finite are left out.

    Raises:
        FormatError: their list is damaged.
        OSError: there is none.
    """
    path = Path(folder) / CARDS
    try:
        cards = [Card(**card) for card in json.loads(path.read_bytes())["cards"]]
    except (ValueError, TypeError, KeyError) as error:
        raise FormatError(path, expected="the cards of a listening page", found="something else") from error
    return [
        replace(card, scores={label: value for label, value in card.scores.items() if value is not None})
        for card in cards
    ]


def _shown(path: Path, card: Card) -> dict:
    """Return what the template shows of one card."""
    files = {key: _linked(path, named) for key, named in (("players", card.players), ("links", card.links))}
    return {
        "name": card.name,
        "facets": card.facets,
        "scores": {label: _text(value) for label, value in card.scores.items()},
        "picture": _linked(path, {"": card.picture}).get("", ""),
        # For filters and sorting: JSON knows no NaN.
        "values": json.dumps({
            "facets": dict(card.facets),
            "scores": {label: finite(value) for label, value in card.scores.items()},
        }),
        **files,
    }  # fmt: skip


def _linked(path: Path, named: Mapping[str, str]) -> dict[str, str]:
    """Return the relative URLs of the files that there are.

    Raises:
        FormatError: one named is not in the page's folder.
    """
    for file in filter(None, named.values()):
        inside = PurePosixPath(file)
        if inside.is_absolute() or ".." in inside.parts or not (path.parent / inside).is_file():
            raise FormatError(path, expected="files of the page's own folder", found=repr(file))
    return {label: quote(PurePosixPath(file).as_posix()) for label, file in named.items() if file}


def _text(value: object) -> str:
    """Return a value as the page shows it: numbers to four digits, what is no number as a dash."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:.4g}" if math.isfinite(value) else "–"
