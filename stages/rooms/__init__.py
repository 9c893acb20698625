"""Stages of track `rooms`: reverberation triples."""
