"""What a codec gives in double precision: what the rounding of float32 is measured against, on any processor."""

import copy

from torch.nn import functional


def in_double(codec, wav):
    """Encode in double precision, which the contract's `encode` does not offer."""
    padded = functional.pad(wav, (0, codec.n_frames(wav.shape[-1]) * codec.hop_length - wav.shape[-1]))
    return copy.deepcopy(codec).double()._encode(padded.double())
