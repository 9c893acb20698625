"""The evaluation pairs: which utterance is converted to whose voice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from soundgate.runtime.errors import CorpusError
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.audit.settings import EvaluationSettings
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.roles import Roles, assign_roles

UNSEEN, SEEN = "test", "validation"


class Pair(NamedTuple):
    """One conversion.

    Args:
        source: the speaker converted.
        target: the speaker whose voice is wished for.
        row: of the source utterance in the cache.
        other_row: another utterance of the source, the control of content.
        target_row: an utterance of the target that judges have no reference from.
        split: whose speakers.
    """

    source: str
    target: str
    row: int
    other_row: int
    target_row: int
    split: str


class Evaluation(NamedTuple):
    """What is measured on.

    Args:
        pairs: balanced: for each pair of speakers both directions, so that a converter that ignores the target
            cannot come closer to it than to the source on average.
        roles: of the utterances by speaker.
    """

    pairs: list[Pair]
    roles: dict[str, Roles]


def draw_evaluation(cache: VoiceCache, split: str, n_pairs: int, settings: EvaluationSettings) -> Evaluation:
    """Draw pairs that depend on the corpus and ``settings`` alone, of all speakers alike, give or take two.

    Args:
        cache: of the utterances.
        split: whose speakers.
        n_pairs: at most; further content of the same speakers is used once each pair of speakers had its turn.
        settings: see `EvaluationSettings`.

    Raises:
        CorpusError: fewer than two speakers with enough utterances.
    """
    roles = assign_roles(cache.table, split, settings.n_content, settings.n_enrolment, settings.seed)
    if len(roles) < 2:
        raise CorpusError(
            f"voice-audit, split {split}",
            expected="two speakers or more with utterances to convert, to know the voice from and to judge it by",
            found=str(len(roles)),
            remedy="Add utterances, three of each speaker at least.",
        )
    drawn = keyed_generator(settings.seed, "voice-audit", f"pairs {split}").permutation(sorted(roles)).tolist()
    couples, pairs = couples_in_rounds(drawn), []
    for turn in range(min(len(own.content) for own in roles.values())):
        for one, other in couples:
            if len(pairs) + 2 > n_pairs:
                return Evaluation(pairs, roles)
            pairs += [_pair(roles, split, *ways, turn) for ways in ((one, other), (other, one))]
    return Evaluation(pairs, roles)


def couples_in_rounds(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return every two of some names, in rounds in which each name has one partner; none, in turn, of an odd number.

    So the first couples, however many, have each name as often as any other, give or take one; with an odd number of
    names, two.

    Source: the circle method for round-robin tournaments, de Werra 1981.
    """
    places: list[str | None] = [*names] + [None] * (len(names) % 2)
    half, couples = len(places) // 2, []
    for _ in range(len(places) - 1):
        facing = zip(places[:half], reversed(places[half:]), strict=True)
        couples += [(one, other) for one, other in facing if one is not None and other is not None]
        places = [places[0], places[-1], *places[1:-1]]
    return couples


def _pair(roles: dict[str, Roles], split: str, source: str, target: str, turn: int) -> Pair:
    own, wished = roles[source], roles[target]
    others = np.concatenate([own.enrolment, own.reference])
    return Pair(
        source,
        target,
        int(own.content[turn]),
        int(others[turn % len(others)]),
        int(wished.enrolment[turn % len(wished.enrolment)]),
        split,
    )
