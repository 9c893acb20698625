"""Which channels of a recording are one and the same sound, so that it is converted once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# From this correlation on two channels are one sound at two levels.
SAME_CORRELATION = 0.95
# A channel this far below the loudest one is silent.
SILENT_DB = -60.0


class Group(NamedTuple):
    """Channels that are one sound.

    Args:
        lead: the loudest of them, which is converted.
        gains: by channel, of the lead's sound; negative where a channel is turned round.
    """

    lead: int
    gains: dict[int, float]


def group_channels(products: np.ndarray) -> list[Group]:
    """Sort channels into groups, the loudest first; silent ones are in none.

    Args:
        products: float64 [C, C], sums of products of every two channels.
    """
    powers = np.diag(products)
    audible = powers > powers.max() * 10 ** (SILENT_DB / 10)
    groups, waiting = [], [int(channel) for channel in np.argsort(-powers, kind="stable") if audible[channel]]
    while waiting:
        lead = waiting[0]
        alike = np.abs(products[lead]) / np.sqrt(powers[lead] * np.maximum(powers, np.finfo(float).tiny))
        own = [channel for channel in waiting if channel == lead or alike[channel] >= SAME_CORRELATION]
        groups.append(Group(lead, {channel: float(products[lead, channel] / powers[lead]) for channel in own}))
        waiting = [channel for channel in waiting if channel not in own]
    return groups
