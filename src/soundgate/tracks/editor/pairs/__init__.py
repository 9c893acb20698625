"""Pairs of a raw recording and its edit."""
