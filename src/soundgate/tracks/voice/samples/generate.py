"""Samples to inspect by ear: passages as they were, reconstructed, and in other speakers' voices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from soundgate.audio.mel import MelSettings, MelTransform
from soundgate.config import load_section
from soundgate.console import track
from soundgate.errors import CorpusError
from soundgate.evaluation.listening.mel_picture import mel_picture
from soundgate.files import write_json, write_text
from soundgate.ledger import jsonable
from soundgate.randomness import keyed_generator
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.model.converting import convert
from soundgate.tracks.voice.model.converter import Voices, VoiceConverter
from soundgate.tracks.voice.roles import Roles, assign_roles
from soundgate.tracks.voice.samples.coherence import Coherence, coherence
from soundgate.tracks.voice.samples.levels import write_matched
from soundgate.tracks.voice.samples.page import write_samples_page
from soundgate.tracks.voice.samples.settings import SamplesSettings
from soundgate.tracks.voice.speaking import Spoken, embedded, joined, reference_of, spoken, voice_of

STAGE = "voice-samples"
SUMMARY, COHERENCE = "summary.csv", "coherence.csv"
SHORT, LONG = "passage", "long-form"
# Of the real utterance that a voice is compared with by ear.
_VOICE_S = 4.0


def generate_evaluation_samples(
    model: VoiceConverter,
    dataset: VoiceCache,
    device: torch.device | str,
    output_dir: str | Path,
    num_samples: int,
    *,
    split: str = "test",
    encoder: nn.Module | None = None,
    settings: SamplesSettings | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Write samples, their measures and a page to listen to them.

    Each ``sample_NNN`` has ``original.wav``, ``reconstruction.wav``, ``converted_to_<speaker>.wav`` for several
    speakers, a picture of each, and ``metadata.json``; ``voices`` has a real utterance of each target. Beside them
    stand ``summary.csv`` (one row for each conversion), ``coherence.csv`` (windows of long passages) and
    ``samples.html``.

    Args:
        model: trained.
        dataset: utterances.
        device: what to compute on; the model is moved there.
        output_dir: made if missing.
        num_samples: source passages.
        split: whose speakers.
        encoder: of the similarities, best a held-out judge; None: the model's own.
        settings: see `SamplesSettings`; None: those of params.yaml. Its ``num_samples`` is not looked at.
        seed: of the draws.

    Returns:
        The summary.

    Raises:
        CorpusError: fewer than two speakers with enough utterances.
    """
    settings = settings or load_section("voice.samples", SamplesSettings)
    writer = SampleWriter(
        Path(output_dir), model.to(device), dataset, (encoder or model.speaker).to(device), settings, split, seed
    )
    modules = {module: module.training for module in (writer.model, writer.encoder)}
    for module in modules:
        module.eval()
    try:
        return writer.write(num_samples)
    finally:
        for module, was_training in modules.items():
            module.train(was_training)


@dataclass(frozen=True)
class SampleWriter:
    """Writes samples; see `generate_evaluation_samples`."""

    folder: Path
    model: VoiceConverter
    cache: VoiceCache
    encoder: nn.Module
    settings: SamplesSettings
    split: str
    seed: int

    def write(self, num_samples: int) -> pd.DataFrame:
        """Write everything; return the summary."""
        if len(self.roles) < 2:
            raise CorpusError(STAGE, expected=f"two speakers of split {self.split}", found=str(len(self.roles)))
        speakers = keyed_generator(self.seed, STAGE, "sources").permutation(sorted(self.roles)).tolist()
        n_short = num_samples - min(self.settings.n_long, num_samples)
        rows, windows = [], []
        for number in track(range(num_samples), "samples"):
            own, seen = self._sample(number, speakers[number % len(speakers)], number >= n_short)
            rows += own
            windows += seen
        summary = pd.DataFrame(rows)
        self._write_table(SUMMARY, summary)
        self._write_table(COHERENCE, pd.DataFrame(windows, columns=["sample", "voice", "start_s", "similarity"]))
        write_samples_page(self.folder, summary, f"Voice conversion, speakers of split {self.split}")
        return summary

    @cached_property
    def roles(self) -> dict[str, Roles]:
        """Utterances by speaker and purpose."""
        whole = len(self.cache.table)
        return assign_roles(self.cache.table, self.split, whole, self.settings.n_enrolment, self.seed)

    def _sample(self, number: int, source: str, is_long: bool) -> tuple[list[dict], list[dict]]:
        """Write one sample; return a row for each conversion and, of a long one, its windows."""
        name, kind = f"sample_{number:03d}", LONG if is_long else SHORT
        said, rows = self._passage(source, number, is_long)
        files = {"original": said.wav, "reconstruction": self._convert(said, source)}
        others = sorted(set(self.roles) - {source})
        order = keyed_generator(self.seed, STAGE, f"targets {number}").permutation(len(others))
        targets = [others[place] for place in order[: self.settings.n_targets]]
        files |= {f"converted_to_{target}": self._convert(said, target) for target in targets}
        levels = {file: self._write_wave(f"{name}/{file}.wav", wav) for file, wav in files.items()}
        similarity = {file: self._similarities(wav, source, targets) for file, wav in files.items()}
        heard = self._coherence(files, source, targets) if is_long else {}
        table = self.cache.table.iloc[rows]
        facts = {
            "sample": name, "kind": kind, "source": source, "utterances": table["utterance"].tolist(),
            "paths": table["path"].tolist(), "sample_rate": self._rate, "duration_s": len(said.wav) / self._rate,
            "targets": targets, "levels": levels, "similarity": similarity,
            "coherence": {file: own.as_dict() for file, own in heard.items()},
        }  # fmt: skip
        write_json(self.folder / name / "metadata.json", jsonable(facts))
        windows = [
            {"sample": name, "voice": file, "start_s": start, "similarity": value}
            for file, own in heard.items()
            for start, value in zip(own.start_s, own.similarity, strict=True)
        ]
        return [self._row(facts, target, files, heard) for target in targets], windows

    def _passage(self, speaker: str, number: int, is_long: bool) -> tuple[Spoken, list[int]]:
        """Return what is converted and the rows it is of."""
        rows = self.roles[speaker].content
        if not is_long:
            row = int(rows[number // len(self.roles) % len(rows)])
            return spoken(self.cache, row, self.settings.duration_s), [row]
        rows = np.concatenate([rows, self.roles[speaker].reference])
        seconds = np.cumsum(self.cache.table["n_samples"].to_numpy()[rows] // self._hop * self._hop) / self._rate
        used = rows[: 1 + int((seconds < self.settings.long_s).sum())].tolist()
        return joined(spoken(self.cache, row) for row in used), used

    def _row(self, facts: dict, target: str, files: dict[str, np.ndarray], heard: dict[str, Coherence]) -> dict:
        """Return what the page shows of one conversion."""
        file, name = f"converted_to_{target}", facts["sample"]
        voice = f"voices/{target}.wav"
        if not (self.folder / voice).is_file():
            self._write_wave(voice, self._real(target))
        pictured = {"original": files["original"], f"to {target}": files[file], f"{target}, real": self._real(target)}
        mels = {title: self._mel(torch.from_numpy(wav)[None])[0].numpy() for title, wav in pictured.items()}
        mel_picture(self.folder / name / f"{file}.png", mels, self._mel_settings)
        own, level = facts["similarity"][file], facts["levels"][file]
        steady = heard[file].as_dict() if heard else {}
        return {
            "sample": name, "kind": facts["kind"], "source": facts["source"], "target": target,
            "original": f"{name}/original.wav", "reconstruction": f"{name}/reconstruction.wav",
            "converted": f"{name}/{file}.wav", "voice": voice, "picture": f"{name}/{file}.png",
            "metadata": f"{name}/metadata.json",
            "similarity_to_target": own[target], "similarity_to_source": own[facts["source"]],
            "spread": steady.get("spread"), "drift": steady.get("drift"),
            "clipped_samples": level["clipped_samples"], "short_of_db": level["short_of_db"],
        }  # fmt: skip

    def _coherence(self, files: dict[str, np.ndarray], source: str, targets: list[str]) -> dict[str, Coherence]:
        """Compare every file's windows with the speaker it is meant to be."""
        meant = {"original": source, "reconstruction": source} | {f"converted_to_{name}": name for name in targets}
        window_s = self.settings.window_s
        return {
            file: coherence(self.encoder, wav, self._references[meant[file]], self._rate, window_s)
            for file, wav in files.items()
        }

    def _similarities(self, wav: np.ndarray, source: str, targets: list[str]) -> dict[str, float]:
        own = embedded(self.encoder, wav)
        return {speaker: float(own @ self._references[speaker]) for speaker in (source, *targets)}

    def _convert(self, said: Spoken, speaker: str) -> np.ndarray:
        return convert(self.model, said.wav, said.f0, said.own, self._voice(speaker))

    def _voice(self, speaker: str) -> Voices:
        return voice_of(self.model, self.cache, self.roles[speaker].enrolment)

    def _real(self, speaker: str) -> np.ndarray:
        return spoken(self.cache, int(self.roles[speaker].enrolment[0]), _VOICE_S).wav

    @cached_property
    def _references(self) -> dict[str, np.ndarray]:
        return {name: reference_of(self.encoder, self.cache, own.reference) for name, own in self.roles.items()}

    @cached_property
    def _mel_settings(self) -> MelSettings:
        own = self.cache.settings
        return MelSettings(
            sample_rate=own.sample_rate, n_fft=own.n_fft, hop_length=own.hop_length, n_mels=own.n_mels, f_min=0
        )

    @cached_property
    def _mel(self) -> MelTransform:
        return MelTransform(self._mel_settings)

    @property
    def _rate(self) -> int:
        return self.cache.settings.sample_rate

    @property
    def _hop(self) -> int:
        return self.cache.settings.hop_length

    def _write_wave(self, name: str, wav: np.ndarray) -> dict:
        return write_matched(self.folder / name, wav, self._rate, self.settings.loudness_lufs)

    def _write_table(self, name: str, table: pd.DataFrame) -> None:
        write_text(self.folder / name, table.to_csv(index=False, float_format="%.4f", lineterminator="\n"))
