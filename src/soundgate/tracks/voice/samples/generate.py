"""Samples to inspect by ear: passages as they were, reconstructed, and in other speakers' voices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from soundgate.audio.mel import MelSettings, MelTransform
from soundgate.corpora.index import file_names
from soundgate.evaluation.listening.mel_picture import mel_picture
from soundgate.runtime.config import load_section
from soundgate.runtime.console import logger, track
from soundgate.runtime.errors import CorpusError
from soundgate.runtime.files import write_json, write_text
from soundgate.runtime.ledger import jsonable
from soundgate.tracks.voice.baselines.cached import CachedBaselines
from soundgate.tracks.voice.baselines.methods import KNN, WORLD_OT
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.model.converter import VoiceConverter
from soundgate.tracks.voice.model.converting import convert
from soundgate.tracks.voice.samples.cast import STAGE, Cast, Listener
from soundgate.tracks.voice.samples.coherence import Coherence, coherence
from soundgate.tracks.voice.samples.identity import weights_hash
from soundgate.tracks.voice.samples.levels import write_matched
from soundgate.tracks.voice.samples.loaded import SPLIT, Wanted, cache_of_loader
from soundgate.tracks.voice.samples.page import write_samples_page
from soundgate.tracks.voice.samples.settings import SamplesSettings

SUMMARY, COHERENCE = "summary.csv", "coherence.csv"
SHORT, LONG = "passage", "long-form"
ORIGINAL, RECONSTRUCTION = "original", "reconstruction"
# Methods without training that conversions are heard beside.
UNTRAINED = (WORLD_OT, KNN)


class Samples(NamedTuple):
    """What was written.

    Args:
        conversions: one row each: files, speakers, similarities, levels, steadiness.
        windows: of long passages, one row each: ``sample``, ``voice`` (the file), ``start_s``, ``similarity`` to the
            speaker it is meant to be.
    """

    conversions: pd.DataFrame
    windows: pd.DataFrame


def generate_evaluation_samples(
    model: VoiceConverter,
    dataset: VoiceCache | Iterable,
    device: torch.device | str,
    output_dir: str | Path,
    num_samples: int,
    *,
    split: str = "test",
    encoder: nn.Module | None = None,
    settings: SamplesSettings | None = None,
    max_samples: int = 2_000,
    sample_rate: int | None = None,
    fields: Mapping[str, str | int] | None = None,
    seed: int = 0,
) -> Samples:
    """Write samples, their measures and a page to listen to them.

    Each ``sample_NNN`` has ``original.wav``, ``reconstruction.wav``, ``converted_to_<speaker>.wav`` for several
    speakers, the same ``_by_world_ot`` and ``_by_knn`` (methods without training), a picture of each conversion, and
    ``metadata.json``; ``voices`` has a real utterance of each target. Beside them stand ``summary.csv`` and
    ``coherence.csv`` (what is returned) and ``samples.html``. ``summary.csv`` has speakers, files, similarities,
    seconds, loudness, the seed and a hash of the model's weights.

    Args:
        model: trained.
        dataset: a cache, or a loader with batches of any form (see
            `soundgate.tracks.voice.loading.batches.spoken_batches`), of which no more is read than is needed.
        device: what to compute on; the model is moved there.
        output_dir: made if missing.
        num_samples: source passages.
        split: whose speakers, of a cache.
        encoder: of the similarities, best a held-out judge; None: the model's own.
        settings: see `SamplesSettings`; None: those of params.yaml. Its ``num_samples`` is not looked at.
        max_samples: utterances of a loader that are read at most.
        sample_rate: Hz of a loader's batches that do not say their own; None: the model's.
        fields: where a loader's batch has its ``wav``, ``speaker``, ``lengths`` and ``sample_rate``; None: searched.
        seed: of the draws.

    Raises:
        CorpusError: fewer than two speakers with enough utterances, or a batch that is not understood.
    """
    settings = settings or load_section("voice.samples", SamplesSettings)
    if not isinstance(dataset, VoiceCache):
        wanted = Wanted(max(num_samples, settings.n_targets + 1), 3 * (settings.n_enrolment + 1), max_samples)
        dataset, split = cache_of_loader(
            dataset, model.features, wanted, settings.loudness_lufs, STAGE, sample_rate=sample_rate, fields=fields
        ), SPLIT  # fmt: skip
    encoder = (encoder or model.speaker).to(device)
    before = {module: module.training for module in (model.to(device), encoder)}
    for module in before:
        module.eval()
    try:
        cast = Cast(dataset, split, settings, seed)
        return SampleWriter(Path(output_dir), model, cast, Listener(encoder, cast)).write(num_samples)
    finally:
        for module, was_training in before.items():
            module.train(was_training)


@dataclass(frozen=True)
class SampleWriter:
    """Writes samples; see `generate_evaluation_samples`."""

    folder: Path
    model: VoiceConverter
    cast: Cast
    listener: Listener

    def write(self, num_samples: int) -> Samples:
        """Write everything."""
        sources = self.cast.sources
        n_short = num_samples - min(self.cast.settings.n_long, num_samples)
        rows, windows = [], []
        for number in track(range(num_samples), "samples"):
            own, seen = self._sample(number, sources[number % len(sources)], number >= n_short)
            rows += own
            windows += seen
        columns = ["sample", "voice", "start_s", "similarity"]
        samples = Samples(pd.DataFrame(rows), pd.DataFrame(windows, columns=columns))
        for name, table in ((SUMMARY, samples.conversions), (COHERENCE, samples.windows)):
            write_text(self.folder / name, table.to_csv(index=False, float_format="%.4f", lineterminator="\n"))
        write_samples_page(self.folder, samples.conversions, f"Voice conversion, speakers of split {self.cast.split}")
        return samples

    def _sample(self, number: int, source: str, is_long: bool) -> tuple[list[dict], list[dict]]:
        """Write one sample; return a row for each conversion and, of a long one, its windows."""
        said, used = self.cast.passage(source, number // len(self.cast.sources), is_long)
        targets, name = self.cast.targets(number, source), f"sample_{number:03d}"
        meant = {RECONSTRUCTION: source} | {self._file(target): target for target in targets}
        waves = {ORIGINAL: said.wav} | {
            file: convert(self.model, said.wav, said.f0, said.own, self.cast.voice(self.model, speaker))
            for file, speaker in meant.items()
        }
        heard = self._coherence(waves, {ORIGINAL: source} | meant) if is_long else {}
        for target in targets:
            waves |= self._by_baselines(said.wav, source, target)
        table = self.cast.cache.table.iloc[used]
        facts = {
            "sample": name, "kind": LONG if is_long else SHORT, "source": source, "targets": targets,
            "utterances": table["utterance"].tolist(), "paths": table["path"].tolist(),
            "sample_rate": self._rate, "duration_s": len(said.wav) / self._rate,
            "levels": {file: self._write_wave(f"{name}/{file}.wav", wav) for file, wav in waves.items()},
            "similarity": {file: self.listener.similarities(wav, [source, *targets]) for file, wav in waves.items()},
            "coherence": {file: own.as_dict() for file, own in heard.items()},
            "seed": self.cast.seed, "model": self._model,
        }  # fmt: skip
        write_json(self.folder / name / "metadata.json", jsonable(facts))
        windows = [
            {"sample": name, "voice": file, "start_s": start, "similarity": value}
            for file, own in heard.items()
            for start, value in zip(own.start_s, own.similarity, strict=True)
        ]
        return [self._row(facts, target, waves) for target in targets], windows

    @cached_property
    def _model(self) -> str:
        return weights_hash(self.model)

    @cached_property
    def _baselines(self) -> CachedBaselines:
        return CachedBaselines(self.cast.cache, self.cast.roles)

    def _by_baselines(self, wav: np.ndarray, source: str, target: str) -> dict[str, np.ndarray]:
        """Return conversions by file; none where the voice of either speaker cannot be known from what is voiced."""
        try:
            return {
                f"{self._file(target)}_by_{method}": self._baselines.convert(method, wav, source, target)
                for method in UNTRAINED
            }
        except CorpusError as error:
            logger.warning("no conversion without training from %s to %s: %s", source, target, error)
            return {}

    @cached_property
    def _called(self) -> dict[str, str]:
        return file_names(self.cast.cache.table["speaker"])

    def _file(self, target: str) -> str:
        return f"converted_to_{self._called[target]}"

    def _row(self, facts: dict, target: str, waves: dict[str, np.ndarray]) -> dict:
        """Write what else the page shows of one conversion, and return its row."""
        file, name, voice = self._file(target), facts["sample"], f"voices/{self._called[target]}.wav"
        real = self.cast.real(target)
        self._write_wave(voice, real)
        self._picture(f"{name}/{file}.png", {"original": waves[ORIGINAL], f"to {target}": waves[file], "real": real})
        similarity, level = facts["similarity"][file], facts["levels"][file]
        steady = facts["coherence"].get(file, {})
        return {
            "sample": name, "kind": facts["kind"], "source": facts["source"], "target": target,
            "original": f"{name}/{ORIGINAL}.wav", "reconstruction": f"{name}/{RECONSTRUCTION}.wav",
            "converted": f"{name}/{file}.wav",
            **{method: self._if_made(f"{file}_by_{method}", name, waves) for method in UNTRAINED},
            "voice": voice, "picture": f"{name}/{file}.png",
            "metadata": f"{name}/metadata.json",
            "similarity_to_target": similarity[target], "similarity_to_source": similarity[facts["source"]],
            "spread": steady.get("spread"), "drift": steady.get("drift"),
            "clipped_samples": level["clipped_samples"], "short_of_db": level["short_of_db"],
            "seconds": facts["duration_s"], "loudness_lufs": level["loudness_lufs"], "seed": self.cast.seed,
            "model": self._model,
        }  # fmt: skip

    @staticmethod
    def _if_made(file: str, name: str, waves: dict[str, np.ndarray]) -> str | None:
        return f"{name}/{file}.wav" if file in waves else None

    def _coherence(self, waves: dict[str, np.ndarray], meant: dict[str, str]) -> dict[str, Coherence]:
        """Compare every file's windows with the speaker it is meant to be."""
        encoder, window_s = self.listener.encoder, self.cast.settings.window_s
        return {
            file: coherence(encoder, waves[file], self.listener.references[speaker], self._rate, window_s)
            for file, speaker in meant.items()
        }

    def _picture(self, name: str, waves: dict[str, np.ndarray]) -> None:
        own = self.cast.cache.settings
        settings = MelSettings(
            sample_rate=own.sample_rate, n_fft=own.n_fft, hop_length=own.hop_length, n_mels=own.n_mels, f_min=0
        )
        transform = MelTransform(settings)
        mels = {title: transform(torch.from_numpy(wav)[None])[0].numpy() for title, wav in waves.items()}
        mel_picture(self.folder / name, mels, settings)

    @property
    def _rate(self) -> int:
        return self.cast.cache.settings.sample_rate

    def _write_wave(self, name: str, wav: np.ndarray) -> dict:
        return write_matched(self.folder / name, wav, self._rate, self.cast.settings.loudness_lufs)
