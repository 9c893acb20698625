"""Mimi and EnCodec with few channels: the same code, layers, paddings, frame rate and hop for little work."""

from contextlib import contextmanager
from functools import partial

import encodec.modules
import pytest
from moshi.models import loaders

DIMENSIONS = {"mimi": 64, "encodec": 32}
MIMI = {
    "seanet": {"dimension": DIMENSIONS["mimi"], "n_filters": 4},
    # As in the full size, both quantisers together are as wide as the latents: their projections can be inverted.
    "quantizer": {
        "dimension": DIMENSIONS["mimi"] // 2,
        "bins": 64,
        "input_dimension": DIMENSIONS["mimi"],
        "output_dimension": DIMENSIONS["mimi"],
    },
    "transformer": {
        "d_model": DIMENSIONS["mimi"],
        "num_heads": 2,
        "num_layers": 2,
        "dim_feedforward": 128,
        "input_dimension": DIMENSIONS["mimi"],
        "output_dimensions": [DIMENSIONS["mimi"]],
    },
}
ENCODEC = {"dimension": DIMENSIONS["encodec"], "n_filters": 4}


@contextmanager
def small_models():
    """Make the libraries build small models while inside; what was built keeps its size."""
    with pytest.MonkeyPatch.context() as patch:
        config = {name: part | MIMI[name] if name in MIMI else part for name, part in loaders._mimi_config.items()}
        patch.setattr(loaders, "_mimi_config", config)
        for name in ("SEANetEncoder", "SEANetDecoder"):
            patch.setattr(encodec.modules, name, partial(getattr(encodec.modules, name), **ENCODEC))
        yield
