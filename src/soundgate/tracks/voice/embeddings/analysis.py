"""The analyser of speaker embeddings: how alike one speaker's are, how different two speakers'."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from soundgate.runtime.errors import CorpusError
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.embeddings.encoding import embed_batch, evaluating, model_rate
from soundgate.tracks.voice.embeddings.pictures import draw_map, draw_similarities, write_similarities
from soundgate.tracks.voice.embeddings.reservoir import Reservoir
from soundgate.tracks.voice.embeddings.similarity import figures_json, pairs_of, speaker_figures
from soundgate.tracks.voice.loading.batches import spoken_batches

STAGE = "voice-embeddings"


def analyze_embeddings(
    model: nn.Module | Callable[[Tensor], object],
    dataloader: Iterable,
    device: str | torch.device,
    output_dir: str | Path,
    max_samples: int = 1000,
    visualize: bool = True,
    *,
    per_speaker: int | None = None,
    sample_rate: int | None = None,
    fields: Mapping[str, str | int] | None = None,
    seed: int = 0,
    n_bootstrap: int = 2000,
) -> dict:
    """Embed utterances and say how well their speakers are told apart.

    In memory are one batch and the embeddings that are kept, however long the loader is.

    Args:
        model: waveforms [B, T] to vectors [B, D], or a mapping or tuple with one such; of unit length or scaled to it.
        dataloader: batches of any form; see `soundgate.tracks.voice.loading.batches.spoken_batches`.
        device: to compute on; a module is moved there.
        output_dir: gets ``embeddings.json`` (what is returned) and ``similarities.csv``.
        max_samples: utterances that are compared at most.
        visualize: whether to draw ``similarities.png`` and ``embeddings.png`` (PCA and t-SNE) too.
        per_speaker: utterances of a speaker at most, drawn from all that the loader has (only what is drawn is
            embedded), of speakers drawn too where ``max_samples`` does not suffice for all; None: the first
            ``max_samples`` utterances, whoever speaks them.
        sample_rate: Hz of batches that do not say their own; None: what the model hears.
        fields: where a batch has its ``wav``, ``speaker``, ``lengths`` and ``sample_rate``; None: they are searched.
        seed: of the draws, of the resampling of speakers and of t-SNE.
        n_bootstrap: resamples of the intervals.

    Returns:
        ``same_speaker_similarity`` and ``different_speaker_similarity`` (``mean``, ``std`` over pairs, ``ci_low``,
        ``ci_high``), ``separation`` (difference of the means; its interval is ``separation_interval``), ``eer`` and
        ``silhouette`` (``value`` with interval), ``davies_bouldin``, ``n_utterances``, ``n_speakers``. Intervals are
        95 %, over speakers.

    Raises:
        CorpusError: a batch or the model's output is not understood, an embedding is not finite or zero, or there are
            fewer than two speakers, or none with two utterances.
    """
    embeddings, speakers = embed_batches(
        model, dataloader, device, max_samples,
        per_speaker=per_speaker, sample_rate=sample_rate, fields=fields, seed=seed,
    )  # fmt: skip
    results = analysis(embeddings, speakers, seed, n_bootstrap)
    output_dir = Path(output_dir)
    pairs = pairs_of(embeddings, speakers)
    write_json(output_dir / "embeddings.json", results)
    write_similarities(output_dir / "similarities.csv", pairs)
    if visualize:
        draw_similarities(output_dir / "similarities.png", pairs)
        draw_map(output_dir / "embeddings.png", embeddings, speakers, seed)
    return results


def embed_batches(
    model: nn.Module | Callable[[Tensor], object],
    batches: Iterable,
    device: str | torch.device,
    max_samples: int,
    *,
    per_speaker: int | None = None,
    sample_rate: int | None = None,
    fields: Mapping[str, str | int] | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings float32 [N, D] and speakers int64 or str [N]; see `analyze_embeddings`."""
    kept = Reservoir(max_samples, per_speaker, keyed_generator(seed, STAGE, "reservoir"))
    with evaluating(model, device):
        for batch in spoken_batches(
            batches, STAGE, model_rate=model_rate(model), sample_rate=sample_rate, fields=fields
        ):
            drawn = [kept.draw(speaker) for speaker in batch.speakers.tolist()]
            own = np.array([place is not None for place in drawn])
            if own.any():
                vectors = embed_batch(model, batch.of(own), device, STAGE)
                kept.add([place for place in drawn if place is not None], vectors.numpy())
            if kept.is_full:
                break
    embeddings, speakers = kept.contents()
    _require_sound(embeddings, speakers)
    return embeddings, speakers


def _require_sound(embeddings: np.ndarray, speakers: np.ndarray) -> None:
    """Refuse embeddings that say nothing."""
    if not len(embeddings):
        raise CorpusError(STAGE, expected="utterances in the loader", found="none")
    bad = ~np.isfinite(embeddings).all(axis=1) | ~embeddings.any(axis=1)
    if bad.any():
        of = sorted({str(speaker) for speaker in speakers[bad]})
        named = ", ".join(of[:5]) + (", ..." if len(of) > 5 else "")
        found = f"{bad.sum()} of {len(bad)} with NaN or infinity or all zero (speakers {named})"
        raise CorpusError(STAGE, expected="finite embeddings", found=found)


def analysis(embeddings: np.ndarray, speakers: np.ndarray, seed: int, n_bootstrap: int) -> dict:
    """Return what `analyze_embeddings` returns, of embeddings [N, D] and speakers [N]."""
    counts = np.unique(speakers, return_counts=True)[1]
    if len(counts) < 2 or counts.max() < 2:
        raise CorpusError(
            STAGE,
            expected="two speakers or more, one of them with two utterances or more",
            found=f"{len(counts)} speakers, at most {counts.max()} utterances of each",
            remedy="A similarity needs pairs of both kinds; a loader that is sorted by speaker needs per_speaker.",
        )
    pairs = pairs_of(embeddings, speakers)
    figures = figures_json(
        speaker_figures(embeddings, speakers, keyed_generator(seed, STAGE, "bootstrap"), n_bootstrap)
    )
    separation = figures["separation"]

    def similarity(name: str, own: np.ndarray) -> dict:
        estimate = figures[name]
        return {"mean": estimate["value"], "std": float(pairs.similarity[own].std())} | _interval(estimate)

    return jsonable({
        "same_speaker_similarity": similarity("same", pairs.same),
        "different_speaker_similarity": similarity("different", ~pairs.same),
        "separation": separation["value"],
        "separation_interval": _interval(separation),
        **{name: figures[name] for name in ("eer", "silhouette", "davies_bouldin")},
        "n_utterances": len(speakers),
        "n_speakers": len(counts),
    })  # fmt: skip


def _interval(estimate: dict) -> dict:
    return {name: estimate[name] for name in ("ci_low", "ci_high")}
