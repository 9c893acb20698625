"""The edit that leads from a raw recording to its finished version, found by listening to both."""
