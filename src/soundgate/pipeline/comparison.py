"""Gates now beside gates of another state of the repository: what changed, and whether a decision did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from soundgate.evaluation.verdicts import UNDECIDED
from soundgate.pipeline.gate_files import Gates

# In the order of their weight.
Kind = Literal["flips", "undecided", "gone", "new", "beyond", "within", "equal"]
KINDS = ("flips", "undecided", "gone", "new", "beyond", "within", "equal")
DIFFER = ("flips", "undecided")


class Compared(NamedTuple):
    """One gate in two states.

    Args:
        track: its track.
        gate: its name.
        before: as it was; None where there was none.
        now: as it is; None where there is none.
    """

    track: str
    gate: str
    before: Mapping | None
    now: Mapping | None

    @property
    def kind(self) -> Kind:
        """What became of the gate.

        ``flips``: pass to fail or fail to pass; ``undecided``: its verdict became undecided, or was; ``gone`` and
        ``new``; with one verdict, ``equal`` (value and interval), ``within`` (one of the values lies in the other's
        interval) or ``beyond``.
        """
        if self.now is None:
            return "gone"
        if self.before is None:
            return "new"
        verdicts = self.before["verdict"], self.now["verdict"]
        if verdicts[0] != verdicts[1]:
            return "undecided" if UNDECIDED in verdicts else "flips"
        if all(self.before.get(key) == self.now.get(key) for key in ("value", "ci_low", "ci_high")):
            return "equal"
        near = _holds(self.before, self.now["value"]) or _holds(self.now, self.before["value"])
        return "within" if near else "beyond"

    def __str__(self) -> str:
        """Return the change of verdict: ``transfer: codec_sf pass -> undecided``."""
        before, now = (None if gate is None else gate["verdict"] for gate in (self.before, self.now))
        return f"{self.track}: {self.gate} {before} -> {now}"


def compare(before: Mapping[str, Gates], now: Mapping[str, Gates]) -> list[Compared]:
    """Return every gate of the tracks that both states have, what weighs most first.

    Args:
        before: gates by track.
        now: likewise.
    """
    found = [
        Compared(track, gate, before[track].get(gate), now[track].get(gate))
        for track in now
        if track in before
        for gate in dict.fromkeys([*now[track], *before[track]])
    ]
    return sorted(found, key=lambda compared: KINDS.index(compared.kind))


def _holds(gate: Mapping, value: float | None) -> bool:
    low, high = gate.get("ci_low"), gate.get("ci_high")
    return None not in (low, high, value) and low <= value <= high
