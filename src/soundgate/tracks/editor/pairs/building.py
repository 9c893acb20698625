"""Builds the corpus of pairs: drawn from finished songs, or found in a folder."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field, ValidationInfo, field_validator, model_validator

from soundgate.audio.filters import HIGH_SHELF_HZ
from soundgate.audio.io import read_audio, resample, write_audio
from soundgate.corpora.file_types import EXTENSIONS
from soundgate.corpora.folder import audio_in, refused_in
from soundgate.corpora.index import unique_ids
from soundgate.corpora.music import read_tracks
from soundgate.corpora.places import shown_path, stored_path
from soundgate.corpora.walking import Refused
from soundgate.runtime.config import Section
from soundgate.runtime.console import logger
from soundgate.runtime.errors import AudioError, CorpusError
from soundgate.runtime.execution import map_items
from soundgate.runtime.files import read_json, write_json, write_text
from soundgate.runtime.paths import path_from_text, path_to_text
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.editor.beats import TRACKING_RATE, track_beats
from soundgate.tracks.editor.pairs.assembling import assemble
from soundgate.tracks.editor.pairs.drawing import BEATS_PER_BAR, MIN_BARS, DrawSettings, draw_plan
from soundgate.tracks.editor.pairs.table import AUDIO_FOLDER, EDIT, RAW, write_pairs
from soundgate.tracks.editor.rendering import render

STAGE = "editor-pairs"
SPLITS = ("train", "validation", "test")
_NO_ORIGIN = "sources/none.yaml"
_FULL = 2.0**15
# Of a pair that someone brings: a bar at 240 beats a minute.
_SHORTEST_S = 1.0


class SplitShares(Section):
    """Shares of the groups (scores, songs); what is left trains.

    Args:
        validation: for choosing.
        test: for measuring.
    """

    validation: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _something_left(self) -> SplitShares:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test must leave something to train on")
        return self


class PairsSettings(Section):
    """Section ``editor.pairs``.

    Args:
        source: ``generated`` from the songs, or ``folder`` of ``<id>_raw.*`` and ``<id>_edit.*``.
        origin: the folder; ``sources/none.yaml`` for generated pairs.
        draw: see `DrawSettings` (generated).
        split: of groups.
        tempo_bpm: centre of the tracker's tempo prior, where beats are not known.
    """

    source: Literal["generated", "folder"]
    origin: str = Field(min_length=1)
    draw: DrawSettings
    split: SplitShares
    tempo_bpm: float = Field(gt=20, lt=400)

    @field_validator("origin")
    @classmethod
    def _read_by_its_source(cls, origin: str, info: ValidationInfo) -> str:
        if info.data.get("source") == "generated" and origin != _NO_ORIGIN:
            raise ValueError(f"{_NO_ORIGIN} for generated pairs, or a folder of pairs and editor.pairs.source=folder")
        return origin


class Song(NamedTuple):
    """The work of one item.

    Args:
        pair_id: names the pair.
        group: what must not be in two splits: the score, else the song itself.
        path: of the finished song, as text (see `path_from_text`); for a pair of a folder that of its edit.
        raw_path: of a folder's pair; empty where it is to be made.
        beats_s: of the song; empty where they are to be tracked.
    """

    pair_id: str
    group: str
    path: str
    raw_path: str
    beats_s: tuple[float, ...]


def songs_of(folder: Path) -> list[Song]:
    """Return the songs of a music corpus, with their beats where the corpus knows them."""
    tracks, beats = read_tracks(folder), pd.read_parquet(folder / "beats.parquet")
    known = {score: tuple(own["time_s"]) for score, own in beats.groupby("score_id")}
    return [
        Song(row.utt_id, row.score_id or row.track_id, row.path, "", known.get(row.score_id, ()))
        for row in tracks.itertuples()
    ]


def pairs_in(root: str | Path) -> tuple[list[Song], list[Refused]]:
    """Return the pairs of a folder, ``<id>_raw.*`` beside ``<id>_edit.*`` at any depth, and the files not used.

    Raises:
        CorpusError: there is no such folder, or no whole pair in it.
    """
    files = audio_in(root, "pairs")
    found: dict[str, dict[str, Path]] = {}
    refused = refused_in(files)
    for file in files.audio:
        name, _, kind = path_to_text(file.with_suffix("").as_posix()).rpartition("_")
        if not name or kind not in (RAW, EDIT):
            refused.append(Refused(files.root / file, f"not named <id>_{RAW} or <id>_{EDIT}"))
        elif kind in (own := found.setdefault(name, {})):
            refused.append(Refused(files.root / file, f"beside {path_to_text(own[kind].name)}, which is taken"))
        else:
            own[kind] = files.root / file
    whole = {name: files for name, files in found.items() if len(files) == 2}
    refused += [Refused(*own.values(), "only half of its pair is there") for own in found.values() if len(own) == 1]
    if not whole:
        expected = f"<id>_raw.* and <id>_edit.* ({' '.join(sorted(EXTENSIONS))})"
        raise CorpusError(root, expected=expected, found="no whole pair")
    songs = [
        Song(own_id, own_id, *(stored_path(own[kind], None) for kind in (EDIT, RAW)), ())
        for own_id, own in zip(unique_ids(whole), whole.values(), strict=True)
    ]
    return songs, sorted(refused)


def split_groups(groups: Iterable[str], shares: SplitShares, seed: int) -> dict[str, str]:
    """Draw each group's split; of three groups and more each split has at least one, of fewer all test.

    Args:
        groups: names.
        shares: see `SplitShares`.
        seed: of the draw.
    """
    names = sorted(set(groups))
    if len(names) < len(SPLITS):
        return dict.fromkeys(names, "test")
    drawn = [names[i] for i in keyed_generator(seed, STAGE, "splits").permutation(len(names))]
    n_test, n_validation = (max(1, round(len(names) * share)) for share in (shares.test, shares.validation))
    splits = ["test"] * n_test + ["validation"] * n_validation
    return {name: splits[i] if i < len(splits) else "train" for i, name in enumerate(drawn)}


def build_pairs(
    settings: PairsSettings, songs: list[Song], seed: int, work: Path, out: Path, refused: Iterable[Refused] = ()
) -> dict:
    """Make or copy every pair and tabulate them.

    Args:
        settings: see `PairsSettings`.
        songs: from `songs_of` or `pairs_in`.
        seed: of the draws.
        work: finished pairs are kept here, so that a killed run goes on.
        out: gets ``pairs.parquet``, ``audio/<pair_id>_raw.flac`` and ``_edit.flac`` (16 bit, mono) and
            ``rejected.csv``.
        refused: files that are in no pair, and why.

    Returns:
        Counts: ``n_pairs`` by split, ``n_rejected``, ``raw_s``, ``edit_s`` (totals), ``ratio`` (median).

    Raises:
        CorpusError: no pair is left.
    """
    audio = out / AUDIO_FOLDER
    audio.mkdir(parents=True, exist_ok=True)
    items = [song._replace(path=_absolute(song.path), raw_path=_absolute(song.raw_path)) for song in songs]
    make = partial(_make_once, settings, seed, audio.absolute(), (work / "parts").absolute())
    made = list(map_items(make, items, "editing"))
    rows = [row for row in made if "reason" not in row]
    rejected = [(song.path, row["reason"]) for song, row in zip(songs, made, strict=True) if "reason" in row]
    rejected += [(shown_path(path, None), reason) for path, reason in refused]
    if rejected:
        logger.warning("%s: %d files rejected", STAGE, len(rejected))
    lines = pd.DataFrame(rejected, columns=["path", "reason"])
    write_text(out / "rejected.csv", lines.to_csv(index=False, lineterminator="\n"))
    if not rows:
        found = "; ".join(f"{path}: {reason}" for path, reason in rejected[:3]) or "no songs"
        raise CorpusError(STAGE, expected="at least one usable pair", found=found)
    split = split_groups((row["group"] for row in rows), settings.split, seed)
    table = write_pairs(out, [row | {"split": split[row["group"]]} for row in rows])
    counts = {
        "n_pairs": {name: int((table["split"] == name).sum()) for name in SPLITS},
        "n_rejected": len(rejected),
        "raw_s": float((table["raw_samples"] / table["sample_rate"]).sum()),
        "edit_s": float((table["edit_samples"] / table["sample_rate"]).sum()),
        "ratio": float((table["raw_samples"] / table["edit_samples"]).median()),
    }
    logger.info("%s: %s", STAGE, counts)
    return counts


def _absolute(path: str) -> str:
    return str(path_from_text(path).absolute()) if path else ""


def _make_once(settings: PairsSettings, seed: int, audio: Path, parts: Path, song: Song) -> dict:
    """Return a pair's row, or the reason why there is none; made now, or by the run that finished it."""
    part = parts / f"{song.pair_id}.json"
    if not part.is_file():
        try:
            row = _copied(settings, audio, song) if song.raw_path else _made(settings, seed, audio, song)
        except AudioError as error:
            row = {"reason": error.found}
        write_json(part, row)
    return read_json(part)


def _made(settings: PairsSettings, seed: int, audio: Path, song: Song) -> dict:
    sound = read_audio(song.path, mono=True)
    if sound.sample_rate <= 2 * HIGH_SHELF_HZ:
        return {"reason": f"a rate of {sound.sample_rate} Hz: needed are more than {2 * HIGH_SHELF_HZ:g}"}
    wav, rate = sound.wav[0], sound.sample_rate
    generator = keyed_generator(seed, STAGE, song.pair_id)
    ratio = float(generator.uniform(*settings.draw.ratio))
    beats = _beats(wav, rate, song, settings.tempo_bpm)
    n_bars = _bars(beats, settings.draw.raw_s / ratio * rate)
    if n_bars < MIN_BARS:
        return {"reason": f"{n_bars} bars: needed are {MIN_BARS}"}
    plan = draw_plan(n_bars, ratio, settings.draw, generator)
    raw, edit, raw_beats = assemble(wav, rate, beats[: n_bars * BEATS_PER_BAR + 1], plan, generator)
    names = _write(audio, song.pair_id, {RAW: raw, EDIT: render(raw, edit)}, rate)
    return names | {
        "reordered": plan.order != sorted(plan.order),
        "edit_list": edit.model_dump_json(exclude_defaults=True),
        "beats": raw_beats.tolist(),
        "pair_id": song.pair_id,
        "group": song.group,
    }


def _copied(settings: PairsSettings, audio: Path, song: Song) -> dict:
    """Take over a pair whose truth is not known: mono, both at the raw recording's rate."""
    raw = read_audio(song.raw_path, mono=True)
    edit = read_audio(song.path, sample_rate=raw.sample_rate, mono=True)
    for kind, sound in ((RAW, raw), (EDIT, edit)):
        if (length_s := sound.wav.shape[1] / raw.sample_rate) < _SHORTEST_S:
            return {"reason": f"too short: {length_s:.3f} s of {kind}, needed are {_SHORTEST_S:g}"}
    beats = track_beats(resample(raw.wav, raw.sample_rate, TRACKING_RATE)[0], TRACKING_RATE, settings.tempo_bpm)
    waves = {kind: np.rint(np.clip(sound.wav, -1, 1 - 1 / _FULL) * _FULL) for kind, sound in ((RAW, raw), (EDIT, edit))}
    names = _write(audio, song.pair_id, {kind: wave.astype(np.int16) for kind, wave in waves.items()}, raw.sample_rate)
    return names | {
        "reordered": False,
        "edit_list": "",
        "beats": np.rint(beats * (raw.sample_rate / TRACKING_RATE)).astype(int).tolist(),
        "pair_id": song.pair_id,
        "group": song.group,
    }


def _write(audio: Path, pair_id: str, waves: dict[str, np.ndarray], rate: int) -> dict:
    row = {"sample_rate": rate}
    for kind, wave in waves.items():
        path = audio / f"{pair_id}_{kind}.flac"
        write_audio(path, wave.astype(np.float64) / _FULL, rate)
        row |= {f"{kind}_path": f"{AUDIO_FOLDER}/{path.name}", f"{kind}_samples": wave.shape[1]}
    return row


def _beats(wav: np.ndarray, rate: int, song: Song, tempo_bpm: float) -> np.ndarray:
    if song.beats_s:
        return np.rint(np.array(song.beats_s) * rate).astype(np.int64)
    tracked = track_beats(resample(wav[None], rate, TRACKING_RATE)[0], TRACKING_RATE, tempo_bpm)
    return np.rint(tracked * (rate / TRACKING_RATE)).astype(np.int64)


def _bars(beats: np.ndarray, wanted_samples: float) -> int:
    """Return how many whole bars from the first beat come nearest to a length."""
    ends = beats[BEATS_PER_BAR::BEATS_PER_BAR]
    if len(ends) == 0:
        return 0
    return 1 + int(np.abs(ends - beats[0] - wanted_samples).argmin())
