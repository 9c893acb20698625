"""One static page of a profile's results: ``soundgate report``."""
