"""Settings of stage `transfer-labels`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from soundgate.audio.mel import MelSettings
from soundgate.runtime.config import Section
from soundgate.tracks.transfer.chunks import ChunkSettings

PLACE = "{label}"
# CLAP hears 10 s at once; the rest would be cropped.
MAX_CLAP_S = 10.0


class CsvSettings(Section):
    """Labels from a table of the user's.

    Args:
        path: CSV with one of the columns track_id, utt_id, path, with ``genre`` and, if wished, ``source``.
        sha256: of the file. The pipeline does not watch files outside it: with this a changed one is noticed.
    """

    path: str | None = Field(default=None, min_length=1)
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")


class AnalysisSettings(Section):
    """A finished Lab 1, for the music gate and for clusters by its style embedding.

    Args:
        folder: its model and config, kept outside the pipeline (whose own Lab 1 is trained on these labels).
        sha256: of its model.safetensors; see `CsvSettings`.
    """

    folder: str | None = Field(default=None, min_length=1)
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")


class BinarySettings(Section):
    """Two buckets, each of several sources.

    Args:
        by: what is looked up: the folder's genre, or the source.
        acoustic: names that go to bucket ``acoustic``.
        beats: names that go to bucket ``beats``.
    """

    by: Literal["genre", "source"]
    acoustic: list[str]
    beats: list[str]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if both := sorted(set(self.acoustic) & set(self.beats)):
            raise ValueError(f"in acoustic and in beats: {', '.join(both)}")
        return self


class ClapSettings(Section):
    """Zero-shot labels.

    Args:
        labels: the genres.
        prompt: holds ``{label}``.
        min_confidence: least probability of the chosen genre.
    """

    labels: list[str] = Field(min_length=2)
    prompt: str
    min_confidence: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if PLACE not in self.prompt:
            raise ValueError(f"prompt must hold {PLACE}, not {self.prompt!r}")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("labels repeat")
        return self


class ClusterSettings(Section):
    """Labels by k-means.

    Args:
        n_clusters: clusters asked for.
        min_size: tracks a cluster must have.
        small: what becomes of a smaller one: the stage stops (``abort``), its tracks are not used
            (``unassigned``), or it joins the nearest cluster (``merge``).
    """

    n_clusters: int = Field(ge=2)
    min_size: int = Field(ge=1)
    small: Literal["abort", "unassigned", "merge"]


class LabelSettings(Section):
    """Section ``transfer.labels``.

    Args:
        genre_schema: where genres come from: ``folder`` (the corpus's first folder level; generated music: the
            style), ``csv``, ``binary_acoustic_beats``, ``clap`` or ``cluster``.
        csv: for that schema.
        binary: for schema ``binary_acoustic_beats``.
        clap: for that schema; its weights are in section ``embedder.clap``.
        cluster: for that schema.
        analysis: a finished Lab 1; without one clusters are of the descriptor alone.
        mel: spectrogram that Lab 1 and the descriptor read: the cache's.
        chunks: pieces of a track that are listened to: the cache's.
        require_is_music: use only what Lab 1's gate takes for music.
        music_threshold: least probability of music, the mean over a track's chunks.
        require_min_sources_per_genre: sources a genre must have, or its style cannot be told from its source.
        on_few_sources: what a genre with fewer does: ``error`` stops, ``report`` warns.
        balance_sources_within_genre: give each source of a genre as many tracks as its smallest one has.
        per_genre_samples: tracks of a genre at most, its sources in turn; None: all.
    """

    genre_schema: Literal["folder", "csv", "binary_acoustic_beats", "clap", "cluster"]
    csv: CsvSettings
    binary: BinarySettings
    clap: ClapSettings
    cluster: ClusterSettings
    analysis: AnalysisSettings
    mel: MelSettings
    chunks: ChunkSettings
    require_is_music: bool
    music_threshold: float = Field(ge=0, le=1)
    require_min_sources_per_genre: int = Field(ge=1)
    on_few_sources: Literal["error", "report"]
    balance_sources_within_genre: bool
    per_genre_samples: int | None = Field(ge=1)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.per_genre_samples is not None and self.per_genre_samples < self.require_min_sources_per_genre:
            raise ValueError("per_genre_samples must be at least require_min_sources_per_genre")
        if self.genre_schema == "clap" and self.chunks.duration_s > MAX_CLAP_S:
            raise ValueError(f"schema clap hears chunks of at most {MAX_CLAP_S:g} s, not {self.chunks.duration_s:g}")
        return self

    @property
    def needs_analysis(self) -> bool:
        """Whether a Lab 1 is named and something uses it."""
        return self.analysis.folder is not None and (self.require_is_music or self.genre_schema == "cluster")
