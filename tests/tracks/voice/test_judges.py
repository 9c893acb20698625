import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from soundgate.tracks.voice.embeddings.embed import embed_rows
from soundgate.tracks.voice.embeddings.similarity import pairs_of
from soundgate.tracks.voice.judge.cepstra import Cepstra
from soundgate.tracks.voice.judge.encoder import EndToEnd, JudgeEncoder, load_judge, save_judge
from soundgate.tracks.voice.judge.measures import measure_judges
from soundgate.tracks.voice.judge.settings import JudgeSettings
from soundgate.tracks.voice.judge.tasks import EncoderTask, UnitTask, at_speed, train_encoder, train_units
from soundgate.tracks.voice.judge.units import fit_units, load_units, normalisers, save_units
from tests.tracks.voice.spoken import FEATURES, HOP, RATE, SOUND_S, spoken_cache

TRAIN = {
    "loop": {"epochs": 1, "batch_size": 6, "steps_per_epoch": 60}, "learning_rate": 5e-3, "warm_up": 5,
    "final_rate": 0.1, "weight_decay": 0.01, "clip": 5.0,
}  # fmt: skip
SETTINGS = {
    "encoder": {"n_cepstra": 60, "f_max_hz": 3_000.0, "width": 32, "dim": 16}, "encoder_train": TRAIN, "per_speaker": 3,
    "units": {"n_units": 6, "n_cepstra": 10, "f_max_hz": 3_000.0, "width": 32, "n_layers": 2}, "units_train": TRAIN,
    "augment": {"speeds": [0.8, 1.0, 1.25], "equaliser": 0.2, "mask_bands": 4, "mask_frames": 4},
    "crop_s": 1.0, "n_bootstrap": 100,
}  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    return spoken_cache(tmp_path_factory.mktemp("spoken"))


@pytest.fixture(scope="module")
def trained(spoken, tmp_path_factory):
    folder, settings = tmp_path_factory.mktemp("judges"), JudgeSettings.model_validate(SETTINGS)
    encoder, _ = train_encoder(spoken[0], settings, 0, CPU, folder / "encoder.pt")
    units, teacher, _ = train_units(spoken[0], settings, 0, CPU, folder / "units.pt")
    return encoder, units, teacher, settings


def test_cepstra_know_no_level_and_show_the_period():
    cepstra = Cepstra(60, 3_000.0, FEATURES)
    t = torch.arange(RATE) / RATE
    pulses = sum(torch.cos(2 * math.pi * 200 * k * t) for k in range(1, 20))[None] * 0.05
    own = cepstra(cepstra.spectrum(pulses))
    assert own.shape == (1, 60, 1 + RATE // HOP)
    torch.testing.assert_close(cepstra(cepstra.spectrum(0.1 * pulses)), own, atol=1e-3, rtol=0)
    # A ripple of 200 Hz up to 3 kHz is coefficient 30, at position 29.
    assert own[0, 15:].mean(dim=-1).abs().argmax() == 29 - 15


def test_the_end_to_end_loss_is_that_of_the_formula():
    torch.manual_seed(0)
    embeddings, objective = functional.normalize(torch.randn(4, 3, 5), dim=-1), EndToEnd()
    loss = 0.0
    for speaker in range(4):
        for number in range(3):
            own = embeddings[speaker, number]
            logits = []
            for other in range(4):
                keep = [k for k in range(3) if other != speaker or k != number]
                centre = functional.normalize(embeddings[other, keep].mean(dim=0), dim=-1)
                logits.append(objective.scale * (own @ centre) + objective.offset)
            loss -= functional.log_softmax(torch.stack(logits), dim=0)[speaker]
    torch.testing.assert_close(objective(embeddings)[0], loss / 12)
    apart = functional.normalize(torch.eye(4, 5)[:, None] + 0.01 * embeddings, dim=-1)
    assert objective(apart)[1] == 1 and objective(apart)[0] < objective(embeddings)[0]


def test_a_frame_of_a_copy_was_where_its_sound_was():
    np.testing.assert_array_equal(at_speed(5, 1.25, 10), [0, 1, 2, 4, 5])
    np.testing.assert_array_equal(at_speed(5, 0.8, 3), [0, 1, 2, 2, 2])


def test_units_are_the_planted_sounds_whoever_makes_them(spoken, trained):
    cache, said = spoken
    _, units, teacher, _ = trained
    rows, frame_s = cache.rows("test"), HOP / RATE
    known = normalisers(teacher.cepstra, cache, rows)
    table = np.zeros((2, 6, 4))
    for row in rows:
        wav, sounds = torch.from_numpy(cache.wave(row))[None], said[cache.table["utterance"][row]]
        found = units(wav)[0].argmax(dim=-1).numpy(), teacher(wav, known[cache.speaker_codes[row]][None])[0].numpy()
        middles = np.rint((np.arange(len(sounds)) + 0.5) * SOUND_S / frame_s).astype(int)
        for kind, own in enumerate(found):
            np.add.at(table[kind], (own[middles], sounds), 1)
    # Purity: the share of sounds that their unit says right.
    purity = table.max(axis=2).sum(axis=1) / table.sum(axis=(1, 2))
    assert purity[0] > 0.8 and purity[1] > 0.8


def test_the_judges_are_measured_on_speakers_they_do_not_know(spoken, trained):
    cache, _ = spoken
    encoder, units, teacher, settings = trained
    measured = measure_judges(cache, encoder, units, teacher, settings, 0)
    assert measured["encoder"]["same"]["n"] == 6 and measured["n_speakers"] == 2
    assert measured["encoder"]["separation"]["value"] > 0.2
    found = measured["units"]
    assert found["same_sound"]["value"] > found["other_sound"]["value"] + 0.25
    assert found["accuracy"]["value"] > found["majority"] + 0.25 and found["accuracy"]["n"] == 2


def test_training_teaches_the_encoder_more_than_chance_gives(spoken, trained):
    cache, _ = spoken
    rows = np.concatenate([cache.rows(split) for split in ("train", "test")])
    torch.manual_seed(1)
    untrained = JudgeEncoder(trained[3].encoder, FEATURES).eval()

    def separation(model):
        pairs = pairs_of(embed_rows(model, cache, rows, 1.0), cache.speaker_codes[rows])
        return pairs.similarity[pairs.same].mean() - pairs.similarity[~pairs.same].mean()

    assert separation(trained[0]) > separation(untrained) + 0.1


def test_only_the_judges_speakers_are_heard_in_training(spoken, monkeypatch):
    cache, _ = spoken
    settings, heard = JudgeSettings.model_validate(SETTINGS), []
    original = type(cache).crops
    monkeypatch.setattr(
        type(cache), "crops", lambda self, rows, *rest: heard.extend(rows) or original(self, rows, *rest)
    )
    EncoderTask(cache, settings, 0, CPU).step(np.arange(6), 0)
    teacher = fit_units(cache, cache.rows("judge"), settings.units, 0, "voice-judge")
    UnitTask(cache, settings, teacher, 0, CPU).step(np.arange(4), 0)
    assert heard and set(heard) <= set(cache.rows("judge"))


def test_the_judges_are_written_and_read(spoken, trained, tmp_path):
    encoder, units, _, _ = trained
    wav = spoken[0].batch(spoken[0].rows("test")[:2], RATE, None).wav
    save_judge(tmp_path / "encoder", encoder)
    save_units(tmp_path / "units", units)
    torch.testing.assert_close(load_judge(tmp_path / "encoder")(wav), encoder(wav))
    torch.testing.assert_close(load_units(tmp_path / "units")(wav), units(wav))
    logs = units(wav)
    assert logs.shape == (2, 1 + RATE // HOP, 6)
    torch.testing.assert_close(logs.exp().sum(dim=-1), torch.ones(2, 1 + RATE // HOP))
    torch.testing.assert_close(encoder(0.1 * wav), encoder(wav), atol=1e-3, rtol=0)
