"""Parameters of conditioning, metrics and decisions: stages `structure-conditioning`, `-metrics`, `-report`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from soundgate.runtime.config import Section

FIELDS_OF_KINDS = {
    "mean_vq": ("n_clusters",),
    "pca_vq": ("n_clusters", "n_components"),
    "pca_quartile": ("n_components",),
    "ngram_hash": ("n_clusters", "n_codes", "order", "n_heads"),
    "supervised_vq": ("n_clusters", "hidden"),
}


class ConditionSettings(Section):
    """One way to turn a context window into a cluster id.

    ``mean_vq``: k-means on the window's mean. ``pca_vq``: k-means on the leading principal components of the
    flattened window. ``pca_quartile``: quartile bins of those components, id = sum over d of bin_d * 4^d.
    ``ngram_hash``: the last ``order`` frames' codes, of ``n_codes``, hashed by ``n_heads`` functions into a table of
    ``n_clusters``. ``supervised_vq``: k-means on what a network of ``hidden`` units predicts of the innovation.
    """

    kind: Literal["mean_vq", "pca_vq", "pca_quartile", "ngram_hash", "supervised_vq"]
    n_clusters: int | None = Field(default=None, ge=2, le=65_536)
    n_components: int | None = Field(default=None, ge=1, le=15)
    n_codes: int | None = Field(default=None, ge=2, le=1024)
    order: int | None = Field(default=None, ge=1, le=8)
    n_heads: int | None = Field(default=None, ge=1, le=16)
    hidden: int | None = Field(default=None, ge=1, le=1024)

    @model_validator(mode="after")
    def _complete(self) -> ConditionSettings:
        wants = FIELDS_OF_KINDS[self.kind]
        has = {name for name in type(self).model_fields if name != "kind" and getattr(self, name) is not None}
        if has != set(wants):
            raise ValueError(f"a condition of kind {self.kind} takes exactly {' and '.join(wants)}")
        if self.n_heads is not None and self.n_clusters < 2 * self.n_heads:
            raise ValueError(f"n_clusters: {self.n_heads} heads need at least two cells each")
        return self

    @property
    def has_replicates(self) -> bool:
        """Whether fits with other seeds show what the seed changes."""
        return self.kind in ("mean_vq", "pca_vq")

    @property
    def n_cells(self) -> int:
        """Number of ids the condition can give."""
        return self.n_clusters if self.n_clusters is not None else 4**self.n_components


class ConditioningSettings(Section):
    """Context windows, lags and conditions, all fitted on train frames only."""

    window: int = Field(ge=1, le=64)
    lags: tuple[int, ...] = Field(min_length=1)
    conditions: dict[str, ConditionSettings] = Field(min_length=1)
    ridges: tuple[float, ...] = Field(min_length=1, description="penalties of the linear model to choose from")
    n_init: int = Field(ge=1)
    max_fit_frames: int = Field(ge=100)
    n_seeds: int = Field(ge=0, description="further k-means fits that show what the seed changes")

    @model_validator(mode="after")
    def _lags_rise(self) -> ConditioningSettings:
        if list(self.lags) != sorted(set(self.lags)) or self.lags[0] < 1:
            raise ValueError("lags must be positive, distinct and rising")
        return self

    @model_validator(mode="after")
    def _ngrams_fit(self) -> ConditioningSettings:
        if any((condition.order or 0) > self.window for condition in self.conditions.values()):
            raise ValueError("order: an n-gram must fit into the window")
        return self

    @property
    def history(self) -> int:
        """Frames that must precede a frame for every lag's context to exist: valid t >= window - 1 + largest lag.

        It is also the order of the linear model, whose past then covers every context.
        """
        return self.window - 1 + self.lags[-1]


class NullSettings(Section):
    """Null distributions of the largest gain over conditions, lags and slices."""

    n_swaps: int = Field(ge=1)
    swap_max_frames: int = Field(ge=1)
    n_surrogates: int = Field(ge=0)
    surrogate_max_frames: int = Field(ge=1)
    n_dims: int = Field(ge=1)


class CeilingSettings(Section):
    """The small multilayer perceptron that shows how much of the innovation any function of the context explains."""

    hidden: int = Field(ge=1)
    epochs: int = Field(ge=0)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    max_frames: int = Field(ge=1)


class PowerSettings(Section):
    """Effects planted into the data, to say which gain would have been found."""

    gains: tuple[float, ...] = Field(min_length=1, description="gains planted, each in (0, 1)")
    n_draws: int = Field(ge=1)
    probability: float = Field(gt=0, lt=1, description="share of draws that must find a gain for it to be detectable")
    max_frames: int = Field(ge=1)


class MetricsSettings(Section):
    """What is measured of the fitted conditions."""

    min_cluster_frames: int = Field(ge=1)
    medial: tuple[float, float]
    n_bootstrap: int = Field(ge=100)
    n_confound_bins: int = Field(ge=2)
    stability_frames: int = Field(ge=10)
    nulls: NullSettings
    ceiling: CeilingSettings
    power: PowerSettings


class SeedThresholds(Section):
    """The thresholds of the seed's decision."""

    variance_ratio: float
    degradation: float
    persistence: float
    baseline_tolerance: float
    excluded_mass: float


class SoundThresholds(Section):
    """The thresholds of the sound decision."""

    min_gain: float = Field(gt=0, description="smallest gain worth a memory, as a share of innovation variance")
    p_value: float = Field(gt=0, lt=1)
    degradation: float


class DecisionSettings(Section):
    """Both decisions' thresholds."""

    seed: SeedThresholds
    sound: SoundThresholds
