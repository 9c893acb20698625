"""Corpora of empty files, for tests of what their names say."""


def make(root, *names):
    """Make empty files below a folder, and return the folder."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root
