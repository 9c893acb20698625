"""Batches of any DataLoader, read as waveforms and speakers."""
