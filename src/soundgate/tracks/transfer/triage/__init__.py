"""Clips listened to one after another and accepted, rejected or skipped, in a browser or a terminal."""
