"""What a NIST SPHERE file (TIMIT, Switchboard, ...) declares."""

from __future__ import annotations

import re

MAGIC = b"NIST_1A\n"
_FIELD = re.compile(rb"^(\w+) -(?:i|r|s\d+) (.*?)\s*$", re.MULTILINE)
_CODINGS = {"pcm", "ulaw", "mu-law", "alaw"}


def sphere_size(content: bytes) -> tuple[int, int]:
    """Return how many bytes of samples a SPHERE header promises, and how many bytes a frame has.

    Args:
        content: the whole file, beginning with ``MAGIC``.

    Raises:
        ValueError: the header is malformed, or the samples are compressed; its text is the reason reports give.
    """
    fields = {
        name.decode(): value.decode("latin-1") for name, value in _FIELD.findall(content[: header_bytes(content)])
    }
    coding = fields.get("sample_coding", "pcm").lower()
    if coding not in _CODINGS:
        raise ValueError(f"NIST SPHERE in coding {coding!r} is not read; convert it: sph2pipe -f wav IN.wav OUT.wav")
    try:
        frames, channels, width = (int(fields[name]) for name in ("sample_count", "channel_count", "sample_n_bytes"))
    except (KeyError, ValueError) as error:
        raise ValueError(f"unreadable: a NIST SPHERE header without {error}") from error
    if min(frames, channels - 1, width - 1) < 0:
        raise ValueError(f"absurd header: {frames} frames of {channels} channels of {width} bytes")
    return frames * channels * width, channels * width


def header_bytes(content: bytes) -> int:
    """Return the length of a SPHERE header.

    Raises:
        ValueError: the header does not say.
    """
    digits = content[len(MAGIC) : len(MAGIC) + 8].strip()
    if not digits.isdigit():
        raise ValueError("unreadable: a NIST SPHERE header without its length")
    return int(digits)
