"""Statistics with intervals, and gates."""
