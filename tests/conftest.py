"""Tests compute with the same instructions as stages do."""

from soundgate.runtime.instructions import pin_instructions

pin_instructions()
