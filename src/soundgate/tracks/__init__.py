"""One package for each track; a track never imports another."""
