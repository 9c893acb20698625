"""Sentences drawn from a grammar of templates and word lists."""

from __future__ import annotations

import re

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

_SLOT = re.compile(r"\{(\w+)\}")


class Grammar(BaseModel):
    """Sentence templates with slots ``{name}``, and the words each slot may hold.

    Args:
        templates: sentences with slots.
        words: slot name to its words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    templates: list[str] = Field(min_length=1)
    words: dict[str, list[str]]

    @model_validator(mode="after")
    def _slots_have_words(self) -> Grammar:
        for template in self.templates:
            missing = [slot for slot in _SLOT.findall(template) if not self.words.get(slot)]
            if missing:
                raise ValueError(f"template {template!r} has slots without words: {missing}")
        return self

    def sentence(self, generator: np.random.Generator) -> str:
        """Draw one sentence, all templates and all words of a slot equally likely."""
        template = self.templates[generator.integers(len(self.templates))]
        return _SLOT.sub(lambda slot: self._word(slot[1], generator), template)

    def _word(self, slot: str, generator: np.random.Generator) -> str:
        words = self.words[slot]
        return words[generator.integers(len(words))]


def transcript(text: str) -> str:
    """Return text as LibriSpeech writes it: upper case, apostrophes kept, no other punctuation."""
    return " ".join(re.sub(r"[^A-Z']+", " ", text.upper()).split())
