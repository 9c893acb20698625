"""Training of the voice converter: reconstruction, discriminators, and speakers told apart."""
