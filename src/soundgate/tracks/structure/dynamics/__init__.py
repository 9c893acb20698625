"""Tier 1: models of how latents move from frame to frame, and what they say about codecs."""
