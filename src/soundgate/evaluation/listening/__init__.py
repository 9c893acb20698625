"""Pages to listen to samples on, and pictures of their spectrograms."""
