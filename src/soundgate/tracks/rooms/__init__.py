"""Reverberation triples: a messy wet voice, the same voice in a target room, the target room's embedding."""
