"""Conversions to listen to: original, reconstruction, other voices, long passages, and their page."""
