"""Conversion by optimal transport: envelopes with the source's distribution are given the target's."""

from __future__ import annotations

import numpy as np

from soundgate.tracks.voice.baselines.contract import Moments, Voice
from soundgate.tracks.voice.baselines.vocoder import Analysis
from soundgate.tracks.voice.baselines.world import WorldMethod, at_own_level, scaled


class WorldTransport(WorldMethod):
    """The pitch of another voice, and the mean and covariance of its coded envelopes.

    The coded envelopes of both speakers count as Gaussian; the linear map that takes the one Gaussian to the other at
    the least mean square change is applied to every frame.

    Source: Peyré and Cuturi 2019, "Computational optimal transport", remark 2.31 (transport between Gaussians).
    """

    name = "world_ot"

    def filtered(self, wav: np.ndarray, analysis: Analysis, own: Voice, voice: Voice, formant: float) -> Analysis:
        """Return the frames with envelopes distributed like the target's, at their own levels."""
        coded = self.vocoder.code(analysis.envelope)
        moved = (coded - own.moments.mean) @ transport_map(own.moments, voice.moments) + voice.moments.mean
        envelope = at_own_level(self.vocoder.decode(moved), analysis)
        return scaled(analysis._replace(envelope=envelope), formant)


def transport_map(own: Moments, other: Moments) -> np.ndarray:
    """Return the matrix that takes deviations of one Gaussian to those of another, symmetric float64 [D, D].

    Args:
        own: whose deviations it is multiplied with.
        other: whose covariance they have then.
    """
    root, inverse = _root(own.covariance), np.linalg.inv(_root(own.covariance))
    return inverse @ _root(root @ other.covariance @ root) @ inverse


def _root(matrix: np.ndarray) -> np.ndarray:
    """Return the symmetric square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
