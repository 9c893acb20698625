"""The analyser of speaker embeddings: how alike one speaker's are, how different two speakers'."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from soundgate.runtime.errors import CorpusError
from soundgate.runtime.files import write_json
from soundgate.runtime.ledger import jsonable
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.cache import Utterances
from soundgate.tracks.voice.embeddings.pictures import draw_map, draw_similarities, write_similarities
from soundgate.tracks.voice.embeddings.similarity import figures_json, pairs_of, speaker_figures

STAGE = "voice-embeddings"


def analyze_embeddings(
    model: nn.Module,
    dataloader: Iterable[Utterances],
    device: str | torch.device,
    output_dir: str | Path,
    max_samples: int = 1000,
    visualize: bool = True,
    *,
    seed: int = 0,
    n_bootstrap: int = 2000,
) -> dict:
    """Embed utterances and say how well their speakers are told apart.

    Args:
        model: waveforms [B, T] to unit vectors [B, D].
        dataloader: batches with ``wav`` and ``speaker``.
        device: to compute on; the model is moved there.
        output_dir: gets ``embeddings.json`` (what is returned) and ``similarities.csv``.
        max_samples: further utterances are left out.
        visualize: whether to draw ``similarities.png`` and ``embeddings.png`` (PCA and t-SNE) too.
        seed: of the resampling of speakers and of t-SNE.
        n_bootstrap: resamples of the intervals.

    Returns:
        ``same_speaker_similarity`` and ``different_speaker_similarity`` (``mean``, ``std`` over pairs, ``ci_low``,
        ``ci_high``), ``separation`` (difference of the means; its interval is ``separation_interval``), ``eer`` and
        ``silhouette`` (``value`` with interval), ``davies_bouldin``, ``n_utterances``, ``n_speakers``. Intervals are
        95 %, over speakers.

    Raises:
        CorpusError: fewer than two speakers, or none with two utterances.
    """
    embeddings, speakers = embed_batches(model.to(device), dataloader, device, max_samples)
    results = analysis(embeddings, speakers, seed, n_bootstrap)
    output_dir = Path(output_dir)
    pairs = pairs_of(embeddings, speakers)
    write_json(output_dir / "embeddings.json", results)
    write_similarities(output_dir / "similarities.csv", pairs)
    if visualize:
        draw_similarities(output_dir / "similarities.png", pairs)
        draw_map(output_dir / "embeddings.png", embeddings, speakers, seed)
    return results


@torch.no_grad()
def embed_batches(
    model: nn.Module, batches: Iterable[Utterances], device: str | torch.device, max_samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings float32 [N, D] and speakers int64 [N] of the first utterances, ``max_samples`` at most."""
    embeddings, speakers, count = [], [], 0
    was_training = model.training
    model.eval()
    for batch in batches:
        embeddings.append(model(batch.wav.to(device)).cpu())
        speakers.append(batch.speaker)
        count += len(batch.speaker)
        if count >= max_samples:
            break
    model.train(was_training)
    return torch.cat(embeddings).numpy()[:max_samples], torch.cat(speakers).numpy()[:max_samples]


def analysis(embeddings: np.ndarray, speakers: np.ndarray, seed: int, n_bootstrap: int) -> dict:
    """Return what `analyze_embeddings` returns, of embeddings [N, D] and speakers [N]."""
    counts = np.unique(speakers, return_counts=True)[1]
    if len(counts) < 2 or counts.max() < 2:
        raise CorpusError(
            STAGE,
            expected="two speakers or more, one of them with two utterances or more",
            found=f"{len(counts)} speakers, at most {counts.max()} utterances of each",
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
