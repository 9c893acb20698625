"""Cross-validation of track voice: each speaker is unseen in one fold, and the gates are over all of them."""
