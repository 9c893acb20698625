"""What a finished transfer is worth, and what it stands on."""
