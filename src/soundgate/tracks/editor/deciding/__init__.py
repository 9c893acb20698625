"""What is cut from a recording, decided by rules that each say what they have heard."""
