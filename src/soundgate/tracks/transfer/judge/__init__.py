"""The held-out judges: other tracks, other features, other architectures than what gives losses."""
