"""Tier 1 of track `structure`: models of how latents move."""
