"""Latents with known structure, or known to have none, to check the analysis and its decisions against."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import lfilter

from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.structure.sequences import EVAL, HOLDOUT, TRAIN, Sequences

BURN_IN = 100


@dataclass(frozen=True)
class CorpusShape:
    """How much to generate.

    Attributes:
        n_speakers: in all.
        n_utterances: of each speaker.
        n_frames: of each utterance.
        dim: latent dimensions, where the process leaves them open.
        n_eval: speakers kept for evaluation, the last ones.
    """

    n_speakers: int = 30
    n_utterances: int = 10
    n_frames: int = 120
    dim: int = 8
    n_eval: int = 6

    @property
    def n_sequences(self) -> int:
        """Utterances in all."""
        return self.n_speakers * self.n_utterances

    @property
    def speaker(self) -> np.ndarray:
        """Speaker of each utterance."""
        return np.repeat(np.arange(self.n_speakers), self.n_utterances)


def as_sequences(latents: np.ndarray, shape: CorpusShape, energy: np.ndarray) -> Sequences:
    """Split generated utterances by speaker and order them train, hold-out, eval.

    Args:
        latents: ``[utterances, T, D]``, speaker after speaker.
        shape: what was generated; each train speaker's last tenth of utterances (at least one) is hold-out.
        energy: of each frame ``[utterances, T]``.
    """
    n_held = max(shape.n_utterances // 10, 1)
    place = np.tile(np.arange(shape.n_utterances), shape.n_speakers)
    split = np.where(
        shape.speaker >= shape.n_speakers - shape.n_eval,
        EVAL,
        np.where(place >= shape.n_utterances - n_held, HOLDOUT, TRAIN),
    )
    order = np.argsort(split, kind="stable")
    n, length = latents.shape[:2]
    energy = energy[order]
    median = np.median(energy[split[order] == TRAIN])
    return Sequences(
        latents[order].reshape(n * length, -1),
        np.arange(n) * length,
        np.full(n, length),
        shape.speaker[order],
        split[order],
        energy.ravel(),
        energy.ravel() > median,
        np.tile(np.arange(length) / length, n),
    )


def _noise_energy(shape: CorpusShape, generator: np.random.Generator) -> np.ndarray:
    return generator.lognormal(size=(shape.n_sequences, shape.n_frames))


def autoregressive(shape: CorpusShape, coefficient: float, seed: int, degrees_of_freedom: float = np.inf) -> Sequences:
    """Generate independent AR(1) dimensions: no structure but linear; 0 is white noise, 1 a random walk.

    Args:
        shape: what to generate.
        coefficient: in (-1, 1].
        seed: of the draws.
        degrees_of_freedom: of Student's t noise, above 2; infinite for Gaussian.
    """
    generator = keyed_generator(seed, "planted", f"ar {coefficient} {degrees_of_freedom}")
    size = (shape.n_sequences, BURN_IN + shape.n_frames, shape.dim)
    heavy = np.isfinite(degrees_of_freedom)
    noise = generator.standard_t(degrees_of_freedom, size) if heavy else generator.standard_normal(size)
    start = 0 if coefficient == 1 else BURN_IN
    x = lfilter([1.0], [1.0, -coefficient], noise[:, BURN_IN - start :][:, : start + shape.n_frames], axis=1)
    return as_sequences(x[:, start:], shape, _noise_energy(shape, generator))


def vector_autoregressive(shape: CorpusShape, seed: int) -> Sequences:
    """Generate a random stable Gaussian VAR(2) with correlated innovations and a level of its own for each speaker."""
    generator = keyed_generator(seed, "planted", "var")
    q, _ = np.linalg.qr(generator.standard_normal((shape.dim, shape.dim)))
    first, second = 0.8 * q, -0.2 * np.eye(shape.dim)
    mix = generator.standard_normal((shape.dim, shape.dim))
    noise = generator.standard_normal((shape.n_sequences, BURN_IN + shape.n_frames, shape.dim)) @ mix
    x = np.zeros_like(noise)
    for t in range(2, noise.shape[1]):
        x[:, t] = x[:, t - 1] @ first + x[:, t - 2] @ second + noise[:, t]
    level = generator.standard_normal((shape.n_speakers, 1, shape.dim))[shape.speaker]
    return as_sequences(x[:, BURN_IN:] + level, shape, _noise_energy(shape, generator))


def rotation(shape: CorpusShape, radius: float, angle: float, seed: int) -> Sequences:
    """Generate planes in which a linear process turns by ``angle`` a frame: differences large, yet wholly linear.

    Args:
        shape: what to generate; ``dim`` even.
        radius: spectral radius in (0, 1).
        angle: radians.
        seed: of the draws.
    """
    generator = keyed_generator(seed, "planted", f"rotation {radius} {angle}")
    size = (shape.n_sequences, 4 * BURN_IN + shape.n_frames, shape.dim // 2)
    noise = generator.standard_normal(size) + 1j * generator.standard_normal(size)
    z = lfilter([1.0], [1.0, -radius * np.exp(1j * angle)], noise, axis=1)[:, 4 * BURN_IN :]
    return as_sequences(np.concatenate([z.real, z.imag], -1), shape, _noise_energy(shape, generator))


def volatile(shape: CorpusShape, seed: int) -> Sequences:
    """Generate AR(1) noise whose variance follows a slow level that the energy shows: only spreads differ."""
    generator = keyed_generator(seed, "planted", "volatile")
    size = (shape.n_sequences, BURN_IN + shape.n_frames)
    level = np.exp(lfilter([0.2], [1.0, -0.95], generator.standard_normal(size), axis=1))[..., None]
    noise = level * generator.standard_normal((*size, shape.dim))
    x = lfilter([1.0], [1.0, -0.7], noise, axis=1)[:, BURN_IN:]
    return as_sequences(x, shape, level[:, BURN_IN:, 0])


@dataclass(frozen=True)
class Switching:
    """Regimes on a ring that set the next frame's mean, hidden from every linear predictor.

    ``n_regimes`` regimes stay with probability ``stay`` and otherwise jump to any regime. Anchor dimensions show the
    regime's place on the ring (cosine and sine, ``n_copies`` times, plus a little noise). Each response dimension is
    delta * phi(regime one frame before) + n, phi a higher harmonic of the ring's angle. Harmonics are orthogonal to
    the anchors and to each other at every lag, and n is an ARMA(1, 1) process whose autocovariance is exactly minus
    that of the signal at every lag but 0, so the responses are white to second order and a linear model of any order
    predicts nothing of them: what a condition gains, it gains from the regimes alone.

    Attributes:
        n_regimes: at least 5.
        stay: probability of staying, in [0, 1).
        n_copies: of the two anchor dimensions.
        anchor_noise: standard deviation of the anchors' noise, the ring's radius being 1.
        speaker_specific: share b in [0, 1) of the responses' signal that is the speaker's own: harmonics turned by a
            random phase of each speaker. Where it is positive, six more dimensions show who speaks.
        white_noise: standard deviation of white noise added to the responses, whose signal has variance 1.
        energy_shows: whether the frame's energy is the regime's number (else noise).
    """

    n_regimes: int = 8
    stay: float = 0.7
    n_copies: int = 3
    anchor_noise: float = 0.05
    speaker_specific: float = 0.0
    white_noise: float = 0.0
    energy_shows: bool = False

    @property
    def harmonics(self) -> list[tuple[int, str]]:
        """The responses' functions of the angle: harmonic number and phase."""
        return [(h, phase) for h in range(2, (self.n_regimes + 1) // 2) for phase in ("cos", "sin")]

    def generate(self, shape: CorpusShape, seed: int) -> Sequences:
        """Generate sequences; ``shape.dim`` is not used, the dimension follows from the model."""
        generator = keyed_generator(seed, "planted", f"{self}")
        size = (shape.n_sequences, BURN_IN + shape.n_frames)
        regime = self._regimes(generator, size)
        angle = 2 * np.pi * regime / self.n_regimes
        ring = np.sqrt(2) * np.stack([np.cos(angle), np.sin(angle)], -1)
        anchors = np.tile(ring / np.sqrt(2), self.n_copies)
        anchors = anchors + self.anchor_noise * generator.standard_normal(anchors.shape)
        before = np.roll(angle, 1, axis=1)
        signal = np.sqrt(2) * np.stack([getattr(np, f)(h * before) for h, f in self.harmonics], -1)
        gain = np.sqrt((1 + self.stay) / (1 - self.stay))
        spread = gain * np.sqrt(self.stay) * generator.standard_normal(signal.shape)
        noise = lfilter([1.0, -1.0], [1.0, -self.stay], spread, axis=1)
        noise += self.white_noise * generator.standard_normal(signal.shape)
        parts = [anchors]
        if self.speaker_specific:
            turn = 2 * np.pi * generator.random(shape.n_speakers)[shape.speaker, None]
            own = np.sqrt(2) * np.stack([getattr(np, f)(h * before + turn) for h, f in self.harmonics], -1)
            signal = np.sqrt(1 - self.speaker_specific) * signal + np.sqrt(self.speaker_specific) * own
            who = generator.standard_normal((shape.n_speakers, 6))[shape.speaker]
            parts.append(who[:, None] + 0.01 * generator.standard_normal((*size, 6)))
        x = np.concatenate([*parts, signal + noise], -1)[:, BURN_IN:]
        energy = _noise_energy(shape, generator)
        if self.energy_shows:
            energy = 1.0 + regime[:, BURN_IN:] + 0.01 * generator.random((shape.n_sequences, shape.n_frames))
        return as_sequences(x, shape, energy)

    def _regimes(self, generator: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        jump = generator.random(size) >= self.stay
        jump[:, 0] = True
        drawn = generator.integers(self.n_regimes, size=size)
        last = np.maximum.accumulate(np.where(jump, np.arange(size[1]), 0), axis=1)
        return np.take_along_axis(drawn, last, axis=1)

    def closed_form_gain(self, lag: int, order: int) -> float:
        """Return the population gain of knowing the regime ``lag`` frames before, over a linear model of some order.

        Args:
            lag: L >= 1.
            order: of the linear model.

        Returns:
            Var(E[e | regime at t - L]) / Var(e), summed over z-scored dimensions, from the exact autocovariances.
            Without speaker-specific responses.
        """
        q, n_anchor, n_response = self.stay, 2 * self.n_copies, len(self.harmonics)
        variance = 0.5 + self.anchor_noise**2
        share = 0.5 / variance
        # One ring axis: copies share a signal, so their mean carries all a linear model can use.
        noise = (1 - share) / self.n_copies
        lags = np.abs(np.subtract.outer(np.arange(1, order + 1), np.arange(1, order + 1)))
        gram = share * q**lags + noise * np.eye(order)
        weight = np.linalg.solve(gram, share * q ** np.arange(1.0, order + 1))
        left = 1.0 - weight @ (share * q ** np.arange(1.0, order + 1))
        seen = q**lag - weight @ q ** np.abs(np.arange(1, order + 1) - lag)
        response = q ** (2 * (lag - 1)) / ((1 + q) / (1 - q) + self.white_noise**2)
        return (n_anchor * share * seen**2 + n_response * response) / (n_anchor * left + n_response)


def beside_autoregressive(sequences: Sequences, n_dims: int, coefficient: float, seed: int) -> Sequences:
    """Return sequences in memory with ``n_dims`` independent AR(1) dimensions more, as those of `autoregressive`."""
    generator = keyed_generator(seed, "planted", f"beside {n_dims} {coefficient}")
    size = (len(sequences.lengths), BURN_IN + int(sequences.lengths[0]), n_dims)
    more = lfilter([1.0], [1.0, -coefficient], generator.standard_normal(size), axis=1)[:, BURN_IN:]
    return replace(sequences, latents=np.concatenate([sequences.latents, more.reshape(-1, n_dims)], 1))


def distorted_autoregressive(shape: CorpusShape, coefficient: float, power: float, seed: int) -> Sequences:
    """Generate Gaussian AR(1) dimensions z seen as sign(z) |z|^power: linear, through a static nonlinearity."""
    sequences = autoregressive(shape, coefficient, seed)
    z = sequences.latents
    return replace(sequences, latents=np.sign(z) * np.abs(z) ** power)
