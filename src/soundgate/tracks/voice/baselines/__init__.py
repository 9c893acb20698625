"""Conversion methods that need no training: WORLD's vocoder with statistics of two voices, and nearest neighbours."""
