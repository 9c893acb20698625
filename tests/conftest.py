import os

# Of the little work in tests most would be the start of processes; tests of workers say how many they want.
os.environ.setdefault("SOUNDGATE_WORKERS", "1")
