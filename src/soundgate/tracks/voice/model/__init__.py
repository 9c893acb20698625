"""The voice converter: content and pitch of one recording, the voice of another."""
