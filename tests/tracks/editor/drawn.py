"""Edit lists and waves that tests draw."""

import numpy as np
from hypothesis import strategies as st

from soundgate.tracks.editor.edit_list import EditList, Segment, Tone

RATE = 16_000


def wave(n_samples, channels=1, seed=0, dtype=np.float32):
    noise = np.random.default_rng(seed).uniform(-0.9, 0.9, (channels, n_samples))
    if np.issubdtype(dtype, np.floating):
        return noise.astype(dtype)
    return (noise * np.iinfo(dtype).max).astype(dtype)


@st.composite
def segments(draw, n_samples):
    start = draw(st.integers(0, n_samples - 2))
    stop = draw(st.integers(start + 1, n_samples))
    span = {"start": start, "stop": stop}
    gain = st.floats(0, 4, allow_subnormal=False)
    match draw(st.sampled_from(["KEEP", "LOOP", "FADE_IN", "FADE_OUT", "EFFECT", "TRANSITION"])):
        case "KEEP":
            return Segment(label="KEEP", **span)
        case "LOOP":
            return Segment(label="LOOP", repeats=draw(st.integers(2, 4)), **span)
        case "FADE_IN":
            return Segment(label="FADE_IN", gain=((0, 0), (0.3, draw(st.floats(0, 1))), (1, 1)), **span)
        case "FADE_OUT":
            return Segment(label="FADE_OUT", gain=((0, 1), (1, draw(st.floats(0, 1)))), **span)
        case "EFFECT":
            level = draw(gain)
            tone = draw(st.none() | st.builds(Tone, low_db=st.floats(-12, 12), high_db=st.floats(-12, 12)))
            return Segment(label="EFFECT", gain=((0, level), (1, level)), tone=tone, **span)
        case _:
            partner = draw(st.integers(0, n_samples - (stop - start)))
            return Segment(label="TRANSITION", partner=partner, **span)


@st.composite
def edit_lists(draw, n_samples=4_000, rate=RATE):
    drawn = draw(st.lists(segments(n_samples), max_size=6))
    return EditList(sample_rate=rate, n_samples=n_samples, segments=tuple(drawn))
