"""Ablations: each arm trained from several seeds on equal audio, compared pair by pair on fixed measures."""
