"""Training that can be killed at any moment: the loop, its checkpoints, weights on disk."""
