"""Runs of `soundgate edit` on drawn music."""

import numpy as np
from click.testing import CliRunner

from soundgate import cli
from soundgate.audio.exact import BITS, ExactAudio, write_exact

RATE = 16_000
# Whatever the policy says is done, however unsure it is.
BY_POLICY = ("--method", "policy", "--aggressiveness", "1")
# Regions that leave no label out; what lies between them is kept.
REGIONS = "1\t2\tCUT\n2\t3\tLOOP\n3.5\t4.5\tEFFECT\n5\t6\tTRANSITION\n6.5\t7\tFADE_OUT\n7\t7.5\tFADE_IN\n"


def music(seconds=8.0, channels=1, rate=RATE):
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * rate)) / rate
    clicks = rng.normal(size=len(t)) * np.exp(-30 * (t % 0.5))
    chords = sum(np.sin(2 * np.pi * hz * t) for hz in (220, 331, 554)) * 0.2
    gains = np.linspace(1, 0.3, channels)[:, None]
    return (0.3 * gains * (clicks + chords) / 2).clip(-1, 1)


def write(path, subtype="PCM_16", samples=None, rate=RATE, **shape):
    samples = music(rate=rate, **shape) if samples is None else samples
    if subtype in BITS:
        shift = 32 - BITS[subtype]
        samples = ((samples * (2**31 - 1)).astype(np.int64) >> shift << shift).astype(np.int32)
    write_exact(
        path, ExactAudio(np.ascontiguousarray(samples, samples.dtype if subtype in BITS else "f4"), rate, subtype)
    )
    return path


def edit(*arguments):
    return CliRunner().invoke(cli.main, ["edit", *map(str, arguments)])


def edited(*arguments):
    result = edit(*arguments)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result


def refused(*arguments):
    """The one line of an edit that is refused, and nothing of which was written."""
    out = arguments[arguments.index("--out") + 1]
    before = {path: path.read_bytes() for path in out.parent.iterdir() if path.is_file()}
    result = edit(*arguments)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit), repr(result.exception)
    assert {path: path.read_bytes() for path in out.parent.iterdir() if path.is_file()} == before
    lines = [line for line in result.output.splitlines() if "Error: " in line]
    assert len(lines) == 1
    return lines[0]


def text(path, content):
    path.write_text(content)
    return path
