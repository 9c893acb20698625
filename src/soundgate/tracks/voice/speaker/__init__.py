"""The speaker encoder that conversions are steered by."""
