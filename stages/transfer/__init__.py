"""Stages of track `transfer`: content, style, style transfer."""
