"""Judges that nothing is trained against: of the speaker, and of the content."""
