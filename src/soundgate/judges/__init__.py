"""Outside judges: published models whose weights come in installed packages, behind one contract."""
