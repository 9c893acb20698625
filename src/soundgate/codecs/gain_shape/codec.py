"""The ``gain_shape`` codec: its transform and its codebooks behind the contract of every codec."""

from __future__ import annotations

from functools import partial

from soundgate.codecs.closed_form import ClosedFormCodec
from soundgate.codecs.gain_shape.layout import SAMPLE_RATE, SUB_FRAMES, SUB_HOP, make_layout
from soundgate.codecs.gain_shape.metric import Metric
from soundgate.codecs.gain_shape.settings import Settings
from soundgate.codecs.gain_shape.transform import GainShapeTransform


class GainShapeCodec(ClosedFormCodec):
    """A CELT-like MDCT transform codec at 24 kHz, in closed form.

    A frame's window reaches half a sub-hop (160 samples, 6.7 ms) past its end: it is not causal by that much.
    Before the signal there are zeros by definition, so no frame needs warming up.

    Args:
        settings: see `Settings`.

    Source: Valin et al. 2012, RFC 6716 section 4.3 (CELT).
    Differs: 22 Bark bands and one 320-sample MDCT instead of CELT's tables and block switching; the low
        band's coefficients are kept as they are instead of pyramid-coded; folding is not renormalised, so
        that decoding stays linear in the shapes; residual k-means codebooks instead of entropy coding.
    """

    latent_space = "gains and shapes"

    def __init__(self, settings: Settings) -> None:
        layout = make_layout(settings.frame_rate, settings.n_coefficients)
        super().__init__(
            settings,
            Metric.of(layout),
            partial(GainShapeTransform, layout, settings.window, settings.fold_gain),
            name="gain_shape",
            sample_rate=SAMPLE_RATE,
            hop_length=SUB_FRAMES[settings.frame_rate] * SUB_HOP,
            dim=layout.dim,
            lookahead=SUB_HOP // 2,
        )
        self.layout = layout


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
    codec.load_codebooks()
    return codec
