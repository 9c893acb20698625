"""The exit audit of track `voice`."""
