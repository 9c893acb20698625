"""`soundgate transfer`: recordings of the user's own in the style of another recording, in bounded memory."""
