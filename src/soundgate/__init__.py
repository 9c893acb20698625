"""soundgate: reproducible audio machine-learning experiments behind exit gates."""
