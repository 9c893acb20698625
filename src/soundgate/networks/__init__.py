"""Parts that networks of several tracks are made of."""
