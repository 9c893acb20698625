"""Gates by the outside judge of notes, on planted chords and with a planted judge; and the real one on chords."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from soundgate.audio.io import write_audio
from soundgate.audio.mel import MelSettings, MelTransform
from soundgate.judges.notes import FRAME_S, LOWEST_MIDI, N_PITCHES, SOUNDING, Activations
from soundgate.judges.registry import load_judge
from soundgate.tracks.transfer.cache import ChunkCache
from soundgate.tracks.transfer.mel.generator import Generator
from soundgate.tracks.transfer.mel.model import MelModel
from soundgate.tracks.transfer.mel.settings import GeneratorSettings
from soundgate.tracks.transfer.outside.clips import draw_clips
from soundgate.tracks.transfer.outside.listening import NotesListening, agreement
from soundgate.tracks.transfer.outside.report import report_markdown
from soundgate.tracks.transfer.outside.settings import OutsideThresholds
from soundgate.tracks.transfer.outside.summary import outside_gates, summarise
from soundgate.tracks.transfer.outside.systems import Originals, systems, untrained
from soundgate.tracks.transfer.outside.trying import try_judge
from soundgate.tracks.transfer.outside.waves import SCORES, Heard
from soundgate.tracks.transfer.samples.settings import SamplesSettings
from soundgate.tracks.transfer.samples.transfers import MelPath, Output
from tests.tracks.transfer.planted import GENRES, planted_cache

MEL = MelSettings()
RATE = MEL.sample_rate
SAMPLES = SamplesSettings(max_sources=2, clips_per_pair=0, mode="centroid", griffin_lim_iterations=2)
THRESHOLDS = OutsideThresholds(over_shuffled=0.1, lost=0.1, drums=0.5)
N_BOOTSTRAP = 300
N_SCORES = 30
PATHS = ("mel_notes_kept_over_shuffled", "mel_notes_kept_near_copy_synthesis")


def chord(score):
    """Three keys of the piano, an octave and a half above middle C at most, other ones for each score."""
    return np.sort(np.random.default_rng(score).choice(np.arange(55, 80), 3, replace=False))


def play(keys, brightness=0.3, n_samples=272 * 256):
    times = np.arange(n_samples) / RATE
    tones = [
        brightness**partial * np.sin(2 * np.pi * 440 * 2 ** ((key - 69) / 12) * (partial + 1) * times)
        for key in keys
        for partial in range(3)
    ]
    return (0.1 * np.sum(tones, axis=0)).astype(np.float32)


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """A cache whose scores are chords, brighter in one genre than in the other, and their notes."""
    folder, planted = tmp_path_factory.mktemp("music"), planted_cache(N_SCORES)
    index, notes, mels = planted.index.copy(), [], planted.mels.copy()
    transform = MelTransform(MEL)
    for row in planted.rows():
        score = int(index["score_id"].iloc[row])
        wav = play(chord(score), 0.5 if index["genre"].iloc[row] == GENRES[0] else 0.2)
        path = folder / f"{index['utt_id'].iloc[row]}.wav"
        write_audio(path, wav, RATE)
        index.loc[row, "path"] = str(path)
        mels[row] = transform(torch.from_numpy(wav)[None])[0, :, :272].numpy()
    for score in range(N_SCORES):
        notes += [(str(score), "chords", 0.0, 3.0, key, 90) for key in chord(score)]
    columns = ["score_id", "part", "onset_s", "offset_s", "midi", "velocity"]
    return ChunkCache(index, mels), pd.DataFrame(notes, columns=columns)


@pytest.fixture(scope="module")
def originals(music):
    return Originals(music[0], MEL, SAMPLES)


@pytest.fixture(scope="module")
def clips(music, originals):
    return draw_clips(*music, 6, originals.duration_s, 0)


class Ears:
    """A judge that hears the three strongest keys of each wave; its twin hears the same three in any."""

    min_rate = 16_000

    def __init__(self, hears=True):
        self.hears = hears

    def twin(self, seed):
        return Ears(hears=False)

    def activations(self, wav, rate):
        return [self._one(wav, rate) for wav in wav]

    def _one(self, wav, rate):
        sounding = np.zeros((1 + int(len(wav) / rate / FRAME_S), N_PITCHES), np.float32)
        hz = 440 * 2 ** ((np.arange(LOWEST_MIDI, LOWEST_MIDI + N_PITCHES) - 69) / 12)
        spectrum = np.abs(np.fft.rfft(wav * np.hanning(len(wav)), 4 * len(wav)))
        levels = spectrum[np.round(hz / rate * 4 * len(wav)).astype(int)]
        sounding[:, np.argsort(levels)[-3:] if self.hears else [0, 1, 2]] = 1
        return Activations(sounding, sounding)


class Playing:
    """A path that plays what it is told of a row and a genre."""

    def __init__(self, make):
        self.make = make

    def __call__(self, rows, codes, generator):
        waves = np.stack([self.make(row, GENRES[code]) for row, code in zip(rows, codes, strict=True)])
        return Output(np.zeros((len(rows), 96, 256), np.float32), waves, RATE)


def of_score(cache, shift=0):
    """Play a row's score, or the one that lies so many further on, in the genre asked for."""

    def make(row, genre):
        score = int(cache.index["score_id"].iloc[row])
        return play(chord((score + shift) % N_SCORES), 0.5 if genre == GENRES[0] else 0.2)

    return make


def judged(originals, clips, make, judge=None):
    listening = NotesListening(judge or Ears(), originals)
    tried = try_judge(listening, clips, 20, 0, N_BOOTSTRAP)
    table = listening.table(clips, systems(originals, {"mel": Playing(make)}, 0))
    figures = summarise(table, 0, N_BOOTSTRAP)
    return tried, figures, outside_gates(figures, tried, THRESHOLDS)


def verdicts(gates):
    return {name: gates[name]["verdict"] for name in PATHS}


@pytest.fixture(autouse=True)
def same_waves(monkeypatch):
    """Leave all but the notes alone: each wave has the same harmony, bass and drums."""
    other = np.random.default_rng(0).random((12, 40))

    def heard(wav, rate, found):
        return Heard(found.sounding >= SOUNDING, found.onset.max(axis=1), other, other, other[0])

    monkeypatch.setattr("soundgate.tracks.transfer.outside.listening.hear", heard)


def test_sources_are_of_as_many_groups_as_can_be_and_are_held_against_unlike_chords(music, clips, originals):
    cache, notes = music
    group, genre = cache.index["group"].to_numpy(), cache.index["genre"].to_numpy()
    assert len({group[clip.row] for clip in clips}) == len(clips) == 6
    assert {genre[clip.row] for clip in clips} == set(GENRES)
    assert clips == draw_clips(cache, notes, 6, originals.duration_s, 0)
    for clip in clips:
        assert clip.source_genre == genre[clip.row] != clip.target_genre and group[clip.other] != group[clip.row]
        classes = {row: set(chord(int(group[row])) % 12) for row in (own.row for own in clips)}
        share = {row: len(own & classes[clip.row]) / len(own | classes[clip.row]) for row, own in classes.items()}
        assert share[clip.other] == min(share.values())


def test_more_sources_than_groups_and_music_without_scores(music, originals):
    cache, notes = music
    clips = draw_clips(cache, notes.iloc[:0], 1000, originals.duration_s, 0)
    assert sorted(clip.row for clip in clips) == sorted(cache.rows("test"))
    assert all(clip.other is not None for clip in clips)


def test_a_single_group_has_nothing_to_be_held_against(music, originals):
    cache, notes = music
    alone = ChunkCache(cache.index.assign(group="0"), cache.mels)
    only = Originals(alone, MEL, SAMPLES)
    clips = draw_clips(alone, notes, 3, only.duration_s, 0)
    assert {clip.other for clip in clips} == {None}
    tried, _, gates = judged(only, clips, of_score(cache))
    assert tried["deaf"] and tried["value"] is None
    assert verdicts(gates) == dict.fromkeys(PATHS, "undecided") and all("deaf" in gates[name] for name in PATHS)


def test_a_path_that_keeps_the_notes_passes(music, originals, clips):
    tried, figures, gates = judged(originals, clips, of_score(music[0]))
    assert not tried["deaf"] and tried["value"] > tried["twin"], tried
    assert verdicts(gates) == dict.fromkeys(PATHS, "pass"), gates
    assert figures["control"]["true_target"]["note_f1"].value > 0.9
    assert figures["control"]["no_transfer"]["note_f1"].value == 1
    assert gates[PATHS[0]]["control"] == figures["control"]["no_transfer"]["over_shuffled"].value


def test_other_notes_only_in_other_genres_fail_both_gates(music, originals, clips):
    cache = music[0]
    kept, lost = of_score(cache), of_score(cache, shift=7)
    genre = cache.index["genre"].to_numpy()
    _, _, gates = judged(originals, clips, lambda row, to: (kept if to == genre[row] else lost)(row, to))
    assert verdicts(gates)[PATHS[1]] == "fail", gates
    assert verdicts(gates)[PATHS[0]] != "pass", gates


def test_a_path_whose_copies_have_lost_the_notes_too_is_not_near_them_by_that(originals, clips):
    def silent(row, genre):
        return play([30, 31, 32])

    _, _, gates = judged(originals, clips, silent)
    assert gates[PATHS[0]]["verdict"] == "fail"
    assert gates[PATHS[1]]["verdict"] == "undecided" and "copies" in gates[PATHS[1]]["deaf"]


def test_gates_of_a_judge_that_hears_nothing_cannot_be_judged(music, originals, clips):
    tried, _, gates = judged(originals, clips, of_score(music[0]), Ears(hears=False))
    assert tried["deaf"] and tried["value"] == 0
    assert verdicts(gates) == dict.fromkeys(PATHS, "undecided") and all("deaf" in gates[name] for name in PATHS)


def test_a_corpus_without_the_band_is_not_judged(music, originals, clips, monkeypatch):
    monkeypatch.setattr(Ears, "min_rate", RATE + 1)
    tried, _, gates = judged(originals, clips, of_score(music[0]))
    assert tried["deaf"] and tried["value"] is None
    assert verdicts(gates) == dict.fromkeys(PATHS, "undecided") and all("deaf" in gates[name] for name in PATHS)


def test_agreement():
    first = np.zeros((10, N_PITCHES), bool)
    first[:, [40, 44]] = True
    half = first & (np.arange(N_PITCHES) == 40)
    assert agreement(first, first[:7]) == 1.0 and agreement(first, half) == pytest.approx(2 / 3)
    assert agreement(first, np.zeros_like(first)) == 0.0
    assert np.isnan(agreement(np.zeros_like(first), first)) and np.isnan(agreement(None, first))


def test_waves_are_held_against_the_true_rendering_beside_the_command_s_baselines(music, originals, clips):
    cache = music[0]
    _, figures, gates = judged(originals, clips, of_score(cache, shift=7))
    assert gates["mel_note_recall"]["verdict"] == "fail" and gates["mel_harmony"]["verdict"] == "pass"
    for method in ("eq", "knn"):
        assert set(SCORES) <= set(figures["control"][method]), method
    # An equaliser plays no other notes, only others louder.
    assert figures["control"]["eq"]["note_recall"].value > figures["mel"]["transfer"]["note_recall"].value + 0.2
    assert gates["mel_note_recall"]["control"] == figures["control"]["knn"]["note_recall_over_true"].value
    _, _, unheard = judged(originals, clips, of_score(cache), Ears(hears=False))
    assert (
        "deaf" in unheard["mel_note_recall"] and "deaf" in unheard["mel_rhythm"] and "deaf" not in unheard["mel_bass"]
    )


def test_the_untrained_twin_of_the_mel_path_has_its_shape_and_not_its_weights(music):
    torch.manual_seed(1)
    generator = Generator(GeneratorSettings(channels=16, detail=0, trunk=16, n_trunk=1, kernels=((3, 3),) * 2), 8)
    path = MelPath(music[0], SimpleNamespace(), SimpleNamespace(), MelModel(generator), "centroid", torch.device("cpu"))
    first, again = (untrained(path).model.state_dict() for _ in range(2))
    own = path.model.state_dict()
    assert {name: value.shape for name, value in first.items()} == {name: value.shape for name, value in own.items()}
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert any(not torch.equal(value, own[name]) for name, value in first.items())


def test_the_published_judge_hears_planted_chords_and_its_twin_does_not(originals, clips):
    tried = try_judge(NotesListening(load_judge("notes"), originals), clips[:4], 20, 0, N_BOOTSTRAP)
    assert not tried["deaf"] and tried["ci_low"] > 0.5, tried


def test_the_report_says_where_judges_disagree_and_what_cannot_be_judged(music, originals, clips):
    tried, figures, gates = judged(originals, clips, of_score(music[0], shift=7))
    moved = {"value": 0.26, "ci_low": 0.11, "ci_high": 0.41, "n": 6}
    found = {
        "judge": tried,
        "exemplars": {"mel": {"response": moved}},
        "systems": {
            path: {name: {key: one.as_dict() for key, one in values.items()} for name, values in own.items()}
            for path, own in figures.items()
        },
    }
    sure = {"value": 0.9, "ci_low": 0.88, "ci_high": 0.92, "n": 6}
    low = {"value": 0.0, "ci_low": -0.1, "ci_high": 0.1, "n": 6}
    ours = {"mps_held_out": sure, "mps_mismatched_held_out": low}
    kinds = {"mel": {"transfer": ours, "identity": ours}, "control": {"true_target": ours}}
    report = report_markdown(found, gates, {"kinds": kinds}, 0.1)
    assert "| mel | 0.260 [0.110, 0.410] |" in report.split("Whether an exemplar matters")[1]
    assert "| hears |" in report and "cannot be judged" in report
    said = {line.split(" | ")[1]: line.split(" | ")[-1] for line in report.split("Beside the judge")[1].splitlines()
            if line.startswith("| mel")}  # fmt: skip
    assert "they disagree" in said["as like the source as the true rendering"]
    assert "they disagree" not in said["as like the source as copy-synthesis"], "the copies have lost the notes too"
