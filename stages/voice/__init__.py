"""Stages of the track `voice`."""
