"""The exit audit of track `editor`."""
