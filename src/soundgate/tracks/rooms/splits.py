"""Speakers and rooms divided into train, validation and test before anything is planned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from soundgate.runtime.errors import CorpusError
from soundgate.runtime.randomness import keyed_generator

SPLITS = ("train", "validation", "test")


def assign_splits(
    names: Iterable[str], shares: Sequence[float], seed: int, what: str, taken: dict[str, str] | None = None
) -> dict[str, str]:
    """Give every name one split, by a keyed permutation; each split gets at least one.

    Args:
        names: speakers, or rooms.
        shares: of train, validation and test; they sum to 1.
        seed: of the permutation.
        what: keys the permutation, and names the kind in errors.
        taken: names that have a split already and keep it (a room that stands in both pools).

    Returns:
        Split by name.

    Raises:
        CorpusError: there are too few names for every split to have one.
    """
    taken = taken or {}
    names = sorted(set(names))
    if len(names) < len(SPLITS):
        raise CorpusError(
            what, expected=f"at least {len(SPLITS)}, one for each split", found=str(len(names)),
            remedy="Add sources, or name more of them in corpus.rooms and corpus.voices.",
        )  # fmt: skip
    result = {name: taken[name] for name in names if name in taken}
    free = [name for name in names if name not in taken]
    order = keyed_generator(seed, "rooms-plan", f"split of {what}").permutation(len(free))
    wanted = np.maximum(np.floor(np.asarray(shares[1:]) * len(names) + 0.5), 1).astype(int)
    quota = [split for split, count in zip(SPLITS[1:], wanted, strict=True) for _ in range(count)]
    for split in result.values():
        if split in quota:
            quota.remove(split)
    splits = quota + ["train"] * max(len(free) - len(quota), 0)
    result |= {free[position]: split for position, split in zip(order, splits, strict=False)}
    missing = sorted(set(SPLITS) - set(result.values()))
    if missing:
        raise CorpusError(what, expected="some for every split", found=f"none for {', '.join(missing)}")
    return result
