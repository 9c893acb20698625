"""Stages of track `editor`."""
