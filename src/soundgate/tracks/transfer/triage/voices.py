"""What there is to compare of a clip: itself, its source and its target, all at one loudness."""

from __future__ import annotations

from typing import NamedTuple

from soundgate.runtime.errors import AudioError
from soundgate.tracks.transfer.triage.clips import Clip, Listing, file_inside
from soundgate.tracks.transfer.triage.listening import Prepared, matching_gains_db, prepare

CLIP = "clip"


class Voice(NamedTuple):
    """A recording and the gain at which it is as loud as the others."""

    prepared: Prepared
    gain_db: float


def voices_of(listing: Listing, clip: Clip, prepared: Prepared) -> dict[str, Voice]:
    """Return a clip (``clip``, first) and what it can be compared with, by name.

    A source or target that lies outside the base folder, is missing or broken is left out.
    """
    found = {CLIP: prepared}
    for name, path in listing.references(clip).items():
        file = file_inside(listing.base, path)
        try:
            if file is not None:
                found[name] = prepare(file)
        except AudioError:
            continue
    gains = matching_gains_db(found)
    return {name: Voice(recording, gains[name]) for name, recording in found.items()}
