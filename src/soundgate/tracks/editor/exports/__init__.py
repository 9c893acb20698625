"""Edit lists in the formats of other editors, and back."""
