"""The trained editor on a recording of any length: `soundgate edit`."""
