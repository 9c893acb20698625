"""Trials of the judges themselves, on audio whose truth is known, beside twins that know nothing."""
