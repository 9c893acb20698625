"""Pure signal code; `io` alone touches audio files."""
