"""How well embeddings tell speakers apart."""
