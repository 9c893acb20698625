"""Lab 1: what is played, apart from how it sounds."""
