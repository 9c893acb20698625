"""Lab 2: what a style is, as a target vector."""
