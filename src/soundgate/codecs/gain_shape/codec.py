"""The ``gain_shape`` codec: its transform and its codebooks behind the contract of every codec."""

from __future__ import annotations

import torch
from torch import Tensor

from soundgate.codecs.base import Codec
from soundgate.codecs.gain_shape import codebooks
from soundgate.codecs.gain_shape.layout import SAMPLE_RATE, SUB_FRAMES, SUB_HOP, make_layout
from soundgate.codecs.gain_shape.settings import Settings
from soundgate.codecs.gain_shape.synthetic import speech_like
from soundgate.codecs.gain_shape.transform import GainShapeTransform
from soundgate.codecs.weights import read_weights
from soundgate.runtime.errors import WeightsError

# Seconds of synthetic sound for the built-in codebooks: 4,500 frames at 75 Hz, 2,000 at 12.5 Hz.
BUILTIN_DURATION_S = {75: 60.0, 12.5: 160.0}


class GainShapeCodec(Codec):
    """A CELT-like MDCT transform codec at 24 kHz, in closed form.

    A frame's window reaches half a sub-hop (160 samples, 6.7 ms) past its end: it is not causal by that much.
    Before the signal there are zeros by definition, so no frame needs warming up. Computed in float32, also
    under autocast.

    Args:
        settings: see `Settings`.

    Source: Valin et al. 2012, RFC 6716 section 4.3 (CELT).
    Differs: 22 Bark bands and one 320-sample MDCT instead of CELT's tables and block switching; the low
        band's coefficients are kept as they are instead of pyramid-coded; folding is not renormalised, so
        that decoding stays linear in the shapes; residual k-means codebooks instead of entropy coding.
    """

    latent_space = "gains and shapes"
    cpu_threads = 1  # Its operations are short: reading the files takes longer than all of them.

    def __init__(self, settings: Settings) -> None:
        layout = make_layout(settings.frame_rate, settings.n_coefficients)
        super().__init__(
            name="gain_shape",
            sample_rate=SAMPLE_RATE,
            hop_length=SUB_FRAMES[settings.frame_rate] * SUB_HOP,
            dim=layout.dim,
            n_codebooks=settings.n_codebooks,
            codebook_size=settings.codebook_size,
            lookahead=SUB_HOP // 2,
        )
        self.settings = settings
        self.layout = layout
        self.metric = codebooks.Metric.of(layout)
        self.transform = GainShapeTransform(layout, settings.window, settings.fold_gain)
        self.register_buffer("_codebooks", None, persistent=False)

    @property
    def codebooks(self) -> Tensor:
        """float32 [K, M, D]; the built-in ones are fitted when first asked for, and kept."""
        if self._codebooks is None:
            self.set_codebooks(builtin_codebooks(self.settings))
        return self._codebooks

    def set_codebooks(self, values: Tensor, source: str = "codebooks") -> None:
        """Replace the codebooks.

        Args:
            values: float32 [K, M, D].
            source: what an error is about.

        Raises:
            WeightsError: another shape or dtype.
        """
        shape = [self.n_codebooks, self.codebook_size, self.dim]
        if list(values.shape) != shape or values.dtype != torch.float32:
            raise WeightsError(
                source,
                expected=f"codebooks float32 {shape}",
                found=f"{values.dtype} {list(values.shape)}",
                remedy="Set frame_rate, n_codebooks and codebook_size to those the file was fitted with.",
            )
        self._codebooks = values.to(self.transform.basis.device)

    def fit(self, latents: Tensor, seed: int = 0) -> None:
        """Fit the codebooks on a corpus' latents.

        Args:
            latents: float32 [N, D], frames in any order, N ≥ codebook_size.
            seed: of the initial entries.

        Raises:
            ValueError: too few frames.
        """
        self.set_codebooks(codebooks.fit(latents, self.metric, self.n_codebooks, self.codebook_size, seed))

    def weights(self) -> dict[str, Tensor]:
        """Return the codebooks under the name that loading from a file reads."""
        return {"codebooks": self.codebooks}

    def _encode(self, wav: Tensor) -> Tensor:
        # In bf16 the quiet bands would be wrong by a tenth, and nothing gained: this is fast as it is.
        with torch.autocast(wav.device.type, enabled=False):
            return self.transform.analyse(wav[:, 0])

    def _decode(self, latents: Tensor) -> Tensor:
        with torch.autocast(latents.device.type, enabled=False):
            return self.transform.synthesise(latents)[:, None]

    def _quantise(self, latents: Tensor) -> Tensor:
        codes = codebooks.quantise(latents.flatten(0, 1), self.codebooks, self.metric)
        return codes.reshape(*latents.shape[:2], -1).transpose(1, 2)

    def _dequantise(self, codes: Tensor) -> Tensor:
        flat = codes.transpose(1, 2).flatten(0, 1)
        return codebooks.dequantise(flat, self.codebooks).reshape(codes.shape[0], codes.shape[2], -1)


@torch.inference_mode(False)
@torch.no_grad()
def builtin_codebooks(settings: Settings) -> Tensor:
    """Fit codebooks on keyed synthetic sound: the same on every machine, in one to two seconds.

    Args:
        settings: the codec's.

    Returns:
        float32 [K, M, D].
    """
    layout = make_layout(settings.frame_rate, settings.n_coefficients)
    transform = GainShapeTransform(layout, settings.window, settings.fold_gain, torch.float64)
    wav = torch.from_numpy(speech_like(BUILTIN_DURATION_S[settings.frame_rate], SAMPLE_RATE))
    metric = codebooks.Metric.of(layout)
    n_threads = torch.get_num_threads()
    # Many small products: on a busy machine threads that wait for each other take ten times as long.
    torch.set_num_threads(1)
    try:
        latents = transform.analyse(wav[None])[0]
        return codebooks.fit(latents, metric, settings.n_codebooks, settings.codebook_size, seed=0)
    finally:
        torch.set_num_threads(n_threads)


def load(settings: Settings) -> GainShapeCodec:
    """Load the codec.

    Args:
        settings: see `Settings`.

    Returns:
        The codec; with a path, its codebooks are read now.

    Raises:
        WeightsError: codebooks that cannot be read or have another shape, or weights set to ``"hub"``.
    """
    codec = GainShapeCodec(settings)
    if settings.weights in ("builtin", "random"):
        return codec
    if settings.weights == "hub":
        expected = "builtin, random, or the path of a codebook file"
        raise WeightsError("codec.gain_shape.weights", expected=expected, found="hub: there is none")
    values = read_weights(settings.weights)
    if list(values) != ["codebooks"]:
        found = f"tensors named {', '.join(list(values)[:6])}"
        raise WeightsError(settings.weights, expected="one tensor named codebooks", found=found)
    codec.set_codebooks(values["codebooks"], source=settings.weights)
    return codec
