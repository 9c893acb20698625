"""Stages that build the corpora of a profile."""
