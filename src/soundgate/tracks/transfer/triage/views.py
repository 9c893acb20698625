"""A view of a session's clips: which are seen, and in what order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from soundgate.tracks.transfer.triage.clips import Clip
from soundgate.tracks.transfer.triage.session import Session

FACETS = {"pair": ("source_genre", "target_genre"), "kind": ("path_kind",)}
ARROW = " → "


@dataclass(frozen=True)
class View:
    """What a list of clips is narrowed to; of a blind session only ``state`` and ``tag`` count.

    Args:
        state: of the decisions; empty: every.
        search: text in the path, whatever its case.
        tag: a tag of the clip.
        facets: wished values of ``FACETS``, by name; an empty one is no wish.
        sort: a column of numbers in the CSV; empty: the session's order. Clips without a number come last.
        descending: whether the highest comes first.
    """

    state: str = ""
    search: str = ""
    tag: str = ""
    facets: Mapping[str, str] = ()
    sort: str = ""
    descending: bool = False


def facet(session: Session, clip: Clip, name: str) -> str:
    """Return a clip's value of a facet: ``lofi → classical``; empty where the CSV does not say or is hidden."""
    facts = session.facts(clip)
    return ARROW.join(facts[column] for column in FACETS[name] if column in facts)


def choices(session: Session) -> dict[str, list[str]]:
    """Return what a view can be narrowed to, by facet, and under ``sort`` the columns of numbers."""
    found = {name: sorted({facet(session, clip, name) for clip in session.queue} - {""}) for name in FACETS}
    columns = {name: None for clip in session.queue for name in session.facts(clip)}
    numbers = [name for name in columns if all(_is_number(session.facts(clip).get(name)) for clip in session.queue)]
    return {name: values if len(values) > 1 else [] for name, values in found.items()} | {"sort": numbers}


def seen(session: Session, clips: Iterable[Clip], view: View) -> list[Clip]:
    """Return the clips of a view, in its order."""
    fitting = [clip for clip in clips if _fits(session, clip, view)]
    if session.blind or not view.sort:
        return fitting
    numbers = {clip: session.facts(clip).get(view.sort) for clip in fitting}
    known = [clip for clip in fitting if numbers[clip] and _is_number(numbers[clip])]
    rest = [clip for clip in fitting if not numbers[clip] or not _is_number(numbers[clip])]
    return sorted(known, key=lambda clip: float(numbers[clip]), reverse=view.descending) + rest


def _fits(session: Session, clip: Clip, view: View) -> bool:
    if view.state not in ("", session.state(clip)) or (view.tag and view.tag not in session.remark(clip)[0].split()):
        return False
    if session.blind:
        return True
    facets = dict(view.facets)
    wished = all(value in ("", facet(session, clip, name)) for name, value in facets.items())
    return wished and view.search.casefold() in clip.path.casefold()


def _is_number(text: str | None) -> bool:
    """Say whether a cell is a number or empty."""
    try:
        return text is None or float(text) == float(text)
    except ValueError:
        return False
