"""The pipeline as a whole: its parameters, its code, its runs, its gates."""
