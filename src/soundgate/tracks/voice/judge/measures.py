"""How good the judges are, on speakers they were not trained on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from soundgate.evaluation.groups import group_mean
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.cache import VoiceCache
from soundgate.tracks.voice.embeddings.embed import embed_rows
from soundgate.tracks.voice.embeddings.similarity import figures_json, speaker_figures
from soundgate.tracks.voice.judge.encoder import JudgeEncoder
from soundgate.tracks.voice.judge.settings import JudgeSettings
from soundgate.tracks.voice.judge.tasks import STAGE, at_speed
from soundgate.tracks.voice.judge.units import Teacher, UnitClassifier, normalisers
from soundgate.tracks.voice.speeds import Speeds


def measure_judges(
    cache: VoiceCache,
    encoder: JudgeEncoder,
    units: UnitClassifier,
    teacher: Teacher,
    settings: JudgeSettings,
    seed: int,
) -> dict:
    """Measure both judges.

    Returns:
        ``encoder``: the figures of all speakers that are not the judges' own, see `speaker_figures`; ``units``: see
        `measure_units`; ``n_speakers`` of the judges' own.
    """
    rows = np.concatenate([cache.rows(split) for split in ("train", "validation", "test")])
    embeddings = embed_rows(encoder, cache, rows, settings.crop_s)
    generator = keyed_generator(seed, STAGE, "bootstrap")
    figures = speaker_figures(embeddings, cache.speaker_codes[rows], generator, settings.n_bootstrap)
    return {
        "encoder": figures_json(figures),
        "units": measure_units(cache, units, teacher, settings, generator),
        "n_speakers": len(cache.speakers("judge")),
    }


@torch.no_grad()
def measure_units(
    cache: VoiceCache,
    units: UnitClassifier,
    teacher: Teacher,
    settings: JudgeSettings,
    generator: np.random.Generator,
) -> dict:
    """Measure the classifier of units on the test utterances.

    Returns:
        Shares of frames, estimates over speakers: ``accuracy`` (agreement with the teacher, who knows the speaker),
        ``same_sound`` (agreement of an utterance with its copy as another speaker, at the slowest and at the fastest
        speed), ``other_sound`` (the control: agreement with another utterance); and ``majority``, the share of the
        commonest unit.
    """
    rows, speeds = cache.rows("test"), Speeds(settings.augment.speeds)
    known = normalisers(teacher.cepstra, cache, rows)
    extremes = sorted({int(speeds.speeds.argmin()), int(speeds.speeds.argmax())})
    table, found = [], []
    for row in rows:
        wav = torch.from_numpy(cache.wave(row))[None]
        own = units(wav)[0].argmax(dim=-1).numpy()
        right = teacher(wav, known[cache.speaker_codes[row]][None])[0].numpy()
        copies = {which: units(speeds.apply(wav, which))[0].argmax(dim=-1).numpy() for which in extremes}
        same = [
            np.mean(copy == own[at_speed(len(copy), speeds.speeds[which], len(own))]) for which, copy in copies.items()
        ]
        other = np.mean(own == np.resize(found[-1], len(own))) if found else np.nan
        table.append({"accuracy": np.mean(own == right), "same_sound": np.mean(same), "other_sound": other})
        found.append(own)
    counts = np.bincount(np.concatenate(found), minlength=settings.units.n_units)
    speakers = cache.speaker_codes[rows]
    return {
        name: group_mean(column.to_numpy(), speakers, generator, settings.n_bootstrap).as_dict()
        for name, column in pd.DataFrame(table).items()
    } | {"majority": float(counts.max() / counts.sum()), "n_units_used": int((counts > 0).sum())}
