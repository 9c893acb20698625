"""Phase 1: how a spectrogram becomes what its labels say."""
