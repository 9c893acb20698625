"""Which style and which source every track has, and which tracks are used."""
