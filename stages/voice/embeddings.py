"""Measure how well the speaker encoder tells unseen speakers apart."""

from pathlib import Path

import numpy as np

from soundgate.runtime.config import load_section, load_seed
from soundgate.runtime.device import torch_device
from soundgate.runtime.files import write_json
from soundgate.runtime.scratch import open_scratch
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.embeddings.analysis import STAGE, analysis, analyze_embeddings, embed_batches
from soundgate.tracks.voice.embeddings.embed import utterance_batches
from soundgate.tracks.voice.embeddings.gating import embedding_gates, random_encoder
from soundgate.tracks.voice.embeddings.settings import EmbeddingSettings
from soundgate.tracks.voice.speaker.model import load_speaker


@stage_command(STAGE)
@input_option("cache", "Folder of the cache of utterances.")
@input_option("speaker", "Folder of the speaker encoder.")
@output_option("metrics", "JSON file for the figures and the gates' numbers.")
@output_option("plots", "Folder for the figures' pictures and tables.")
def main(cache: Path, speaker: Path, metrics: Path, plots: Path) -> None:
    """Embed the utterances of speakers that the encoder was not trained on, by it and by random weights."""
    settings, seed = load_section("voice.embeddings", EmbeddingSettings), load_seed()
    deterministic_torch(seed)
    scratch = open_scratch(
        STAGE,
        plots,
        modules=[__spec__.name],
        params={"seed": seed, "embeddings": settings.model_dump()},
        inputs=[cache, speaker],
    )
    utterances, encoder, device = VoiceCache.open(cache), load_speaker(speaker), torch_device()
    # The encoder was trained on neither.
    rows = np.concatenate([utterances.rows(split) for split in ("judge", "test")])
    batches = utterance_batches(utterances, rows, settings.crop_s)
    results = analyze_embeddings(
        encoder, batches, device, scratch.result, settings.max_samples, seed=seed, n_bootstrap=settings.n_bootstrap
    )
    untrained, batches = random_encoder(encoder, seed).to(device), utterance_batches(utterances, rows, settings.crop_s)
    control = analysis(*embed_batches(untrained, batches, device, settings.max_samples), seed, settings.n_bootstrap)
    gates = embedding_gates(results, control, settings.thresholds)
    write_json(metrics, results | {"random_weights": control, "gates": gates})
    scratch.publish()


if __name__ == "__main__":
    main()
