"""Codecs behind one contract, and the store their latents go to."""
