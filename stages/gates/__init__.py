"""Stages over the gates of all tracks."""
