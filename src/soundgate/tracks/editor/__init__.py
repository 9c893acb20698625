"""Track `editor`: learn to edit raw audio."""
