"""Music made on the spot: the same scores in several styles, each by several sources, all of it known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from soundgate.audio.io import write_audio
from soundgate.corpora.index import Entry
from soundgate.corpora.recording_chain import record
from soundgate.corpora.scores import STAGE, Score, draw_score
from soundgate.corpora.source_list import read_source_list
from soundgate.corpora.styles import Source, Style, play_score
from soundgate.corpora.synthesiser import SAMPLE_RATE
from soundgate.runtime.config import Section
from soundgate.runtime.errors import ConfigError
from soundgate.runtime.execution import map_items
from soundgate.runtime.randomness import keyed_generator


class MusicSource(Section):
    """The source list of generated music; see ``sources/generated_music.yaml``.

    Args:
        styles: by name, in the order in which the rotation of sources counts them.
        sources: in the order of that rotation.
    """

    styles: dict[str, Style] = Field(min_length=1)
    sources: list[Source] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> MusicSource:
        if len({source.name for source in self.sources}) < len(self.sources):
            raise ValueError("sources: names repeat")
        return self


class Rendering(NamedTuple):
    """A score in a style by a source.

    Args:
        utt_id: ``<score>-<style>-<source>``.
        score_id: the score.
        style: its name.
        source: its name.
    """

    utt_id: str
    score_id: str
    style: str
    source: str


@dataclass(frozen=True)
class GeneratedMusic:
    """What was rendered, and its truth.

    Args:
        entries: one for each file, with the source as the speaker.
        renderings: in the order of the entries.
        notes: of all scores, the columns of ``NOTE_TYPES``.
        beats: of all scores, the columns of ``BEAT_TYPES``.
    """

    entries: list[Entry]
    renderings: list[Rendering]
    notes: pd.DataFrame
    beats: pd.DataFrame


@dataclass(frozen=True)
class _Item:
    """The work of one item: a score in all its renderings."""

    folder: Path
    score_id: str
    renderings: list[Rendering]
    source_list: MusicSource
    seed: int
    duration_s: float


def read_music_source(path: str | Path) -> MusicSource:
    """Read the source list of generated music.

    Args:
        path: a YAML file.

    Raises:
        ConfigError: the file is missing, or a key is missing, unknown or out of range.
    """
    return read_source_list(path, MusicSource, "generated music")


def plan_renderings(
    source_list: MusicSource, styles: Sequence[str], n_scores: int, sources_per_style: int, confounded: bool = False
) -> list[Rendering]:
    """List what is rendered: each score in each style by sources that rotate from score to score.

    Score ``i`` in style ``s`` is played by the sources ``(i + s + k) mod N``, ``k < sources_per_style``, so that
    over any ``N`` scores in a row every style is played equally often by every source.

    Args:
        source_list: styles and sources.
        styles: names of the styles to render.
        n_scores: how many scores.
        sources_per_style: renderings of a score in one style.
        confounded: instead, source ``s`` alone plays style ``s``, each score once: the corpus in which a style
            cannot be told from its source.

    Raises:
        ConfigError: a style is not listed, or there are too few sources.
    """
    names, count = list(source_list.styles), len(source_list.sources)
    unknown = sorted(set(styles) - set(names))
    if unknown:
        raise ConfigError("corpus.music.styles", expected=f"some of {names}", found=str(unknown))
    needed = len(names) if confounded else sources_per_style
    if count < needed:
        key = "corpus.music.confounded" if confounded else "corpus.music.sources_per_style"
        raise ConfigError(key, expected=f"at least {needed} sources in the source list", found=str(count))
    renderings = []
    for number in range(n_scores):
        score_id = f"s{number:04d}"
        for style in styles:
            first = names.index(style) + (0 if confounded else number)
            for offset in range(1 if confounded else sources_per_style):
                source = source_list.sources[(first + offset) % count].name
                renderings.append(Rendering(f"{score_id}-{style}-{source}", score_id, style, source))
    return renderings


def generate_music(
    folder: str | Path, source_list: MusicSource, renderings: list[Rendering], seed: int, duration_s: float
) -> GeneratedMusic:
    """Render a corpus into a folder: ``<style>/<utt_id>.flac``, 16-bit mono at 22,050 Hz.

    A file depends on the source list, the seed, its duration and its own name alone.

    Args:
        folder: what to write into.
        source_list: styles and sources.
        renderings: see `plan_renderings`.
        seed: of every draw.
        duration_s: of each file.
    """
    root = Path(folder).absolute()
    by_score: dict[str, list[Rendering]] = {}
    for rendering in renderings:
        by_score.setdefault(rendering.score_id, []).append(rendering)
    items = [_Item(root, score_id, own, source_list, seed, duration_s) for score_id, own in by_score.items()]
    scores = list(map_items(_render_score, items, "playing"))
    return GeneratedMusic(
        entries=[Entry(r.utt_id, r.source, _path(root, r)) for r in renderings],
        renderings=renderings,
        notes=pd.concat([score.notes for score in scores], ignore_index=True),
        beats=pd.concat([score.beats for score in scores], ignore_index=True),
    )


def render(score: Score, rendering: Rendering, source_list: MusicSource, seed: int) -> np.ndarray:
    """Render a score in one style by one source.

    Args:
        score: the score.
        rendering: its name keys the noises.
        source_list: styles and sources.
        seed: of the noises.

    Returns:
        float32 [T] at 22,050 Hz, about -20 dBFS RMS.
    """
    generator = keyed_generator(seed, STAGE, rendering.utt_id)
    source = next(source for source in source_list.sources if source.name == rendering.source)
    mix = play_score(score, source_list.styles[rendering.style], source, generator)
    return record(mix, source.chain, generator)


def _render_score(item: _Item) -> Score:
    score = draw_score(item.score_id, item.seed, item.duration_s)
    for rendering in item.renderings:
        write_audio(_path(item.folder, rendering), render(score, rendering, item.source_list, item.seed), SAMPLE_RATE)
    return score


def _path(root: Path, rendering: Rendering) -> Path:
    return root / rendering.style / f"{rendering.utt_id}.flac"
