"""Embeddings of audio: one contract, several embedders, loaded by name."""
