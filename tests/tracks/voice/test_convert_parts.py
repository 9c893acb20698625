import os
import tracemalloc

import numpy as np
import pytest
import soundfile

from soundgate.own_files.planning import plan
from soundgate.own_files.record import Record, remove_leftovers
from soundgate.runtime.errors import AudioError, ConfigError, FormatError
from soundgate.runtime.files import write_json
from soundgate.tracks.voice.convert import methods
from soundgate.tracks.voice.convert.channels import group_channels
from soundgate.tracks.voice.convert.methods import choose_method
from soundgate.tracks.voice.convert.pieces import Piece, converted, cut_at_pauses, passages, step_powers
from soundgate.tracks.voice.convert.reading import Spool, open_source
from soundgate.tracks.voice.convert.voicing import hear_voice
from soundgate.tracks.voice.convert.writing import PEAK, output_suffix, write_converted

from .generated_voices import voice

RATE = 16_000


def bursts(seconds, seed=0):
    """Noise of 0.9 s and pauses of 0.25 s in turn."""
    generator = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    return (0.1 * generator.normal(size=len(t)) * (t % 1.15 < 0.9)).astype(np.float32) + np.float32(1e-4)


def cut(wav, rate=RATE):
    powers = step_powers(lambda start, stop: wav[start:stop], len(wav), rate)
    return powers, cut_at_pauses(powers, len(wav), rate)


def test_pieces_are_cut_in_pauses():
    wav = bursts(70)
    powers, pieces = cut(wav)
    assert pieces[0].start == 0 and pieces[-1].stop == len(wav)
    assert all(one.stop == two.start for one, two in zip(pieces, pieces[1:], strict=False))
    lengths = [(one.stop - one.start) / RATE for one in pieces]
    assert max(lengths) <= 20 and min(lengths[:-1]) >= 8 and lengths[-1] >= 1
    loud = np.sqrt(np.mean(np.square(wav)))
    for one in pieces[1:]:
        assert np.sqrt(np.mean(np.square(wav[one.start - 400 : one.start + 400]))) < 0.05 * loud


@pytest.mark.parametrize("n_samples", [1, 159, 160, 161, 16_000, 320_000, 320_160, 336_001])
def test_pieces_of_any_length_lie_end_to_end(n_samples):
    wav = np.random.default_rng(0).normal(size=n_samples).astype(np.float32)
    powers, pieces = cut(wav)
    assert powers.sum() * 160 == pytest.approx(np.square(wav, dtype=np.float64).sum(), rel=1e-6)
    made = np.concatenate(list(converted(pieces, lambda start, stop: wav[start:stop], np.copy, n_samples, RATE)))
    np.testing.assert_allclose(made, wav, atol=1e-6)


def test_joins_of_a_method_that_drifts_are_smooth():
    wav = bursts(60)
    _, pieces = cut(wav)
    levels = iter(np.linspace(0.8, 1.2, len(pieces)))
    made = np.concatenate(
        list(
            converted(
                pieces, lambda a, b: wav[a:b], lambda own: np.full(len(own) - 100, next(levels), "f4"), len(wav), RATE
            )
        )
    )
    assert len(made) == len(wav)
    # From one level to the next over 20 ms, and what a method leaves out at the very end is silent.
    assert np.abs(np.diff(made[:-101])).max() < 1.1 * 0.4 / (len(pieces) - 1) / 320
    assert not made[-100:].any() and made[-101] == pytest.approx(1.2)


def test_digital_silence_is_not_converted():
    wav = np.concatenate([bursts(9), np.zeros(30 * RATE, np.float32), bursts(9)])
    _, pieces = cut(wav)
    asked = []
    made = np.concatenate(
        list(converted(pieces, lambda a, b: wav[a:b], lambda own: asked.append(len(own)) or own, len(wav), RATE))
    )
    assert len(asked) < len(pieces) and not made[15 * RATE : 20 * RATE].any()


def test_passages_have_sound_and_are_spread():
    wav = np.concatenate([bursts(60), np.zeros(60 * RATE, np.float32), bursts(60, seed=1)])
    powers, pieces = cut(wav)
    chosen = passages(pieces, powers, RATE, 40.0)
    assert chosen[0].start < 30 * RATE and chosen[-1].start > 120 * RATE
    assert sum(one.stop - one.start for one in chosen) <= 40 * RATE
    assert all(np.abs(wav[slice(*one)]).max() > 0.1 for one in chosen)
    assert passages([Piece(0, 60 * RATE)], powers[:6_000], RATE, 5.0) == [Piece(0, 5 * RATE)]


def test_channels_that_are_one_sound_are_grouped():
    first, second = voice(3), voice(3, f0=200, seed=1)
    rows = np.stack([0.5 * first, first, second, -0.7 * first, 1e-5 * second + 0 * first, 0 * first])
    groups = group_channels(rows.astype(np.float64) @ rows.T.astype(np.float64))
    assert [group.lead for group in groups] in ([1, 2], [2, 1])
    own = next(group for group in groups if group.lead == 1)
    assert own.gains == pytest.approx({1: 1, 0: 0.5, 3: -0.7}, abs=0.01)
    assert next(group for group in groups if group.lead == 2).gains == pytest.approx({2: 1})


@pytest.mark.parametrize(("f0", "factor"), [(90, 1.0), (120, 0.9), (220, 1.15), (330, 1.3)])
def test_a_voice_is_taken_for_one(f0, factor):
    voicing = hear_voice([voice(4, f0, factor), voice(3, f0, factor, seed=1)], RATE)
    assert not voicing.doubt and voicing.share > 0.5
    assert voicing.f0_hz == pytest.approx(f0, rel=0.06)


def test_noise_tones_and_silence_are_no_voice():
    generator, t = np.random.default_rng(0), np.arange(5 * RATE) / RATE
    notes = 220 * 2 ** (generator.integers(0, 12, 11)[(t / 0.5).astype(int)] / 12)
    melody = sum(np.sin(2 * np.pi * order * np.cumsum(notes) / RATE) / order for order in range(1, 6))
    clicks = generator.normal(size=len(t)) * np.exp(-60 * (t % 0.3))
    for wav, reason in (
        (0.1 * generator.normal(size=len(t)), "nothing is voiced"), (0.1 * melody, "pitch moves"),
        (0.1 * clicks, "voiced"), (np.zeros(len(t)), "nothing is voiced"),
    ):  # fmt: skip
        assert reason in hear_voice([wav.astype(np.float32)], RATE).doubt


def test_a_source_is_read_as_it_is(tmp_path):
    wav = np.stack([voice(2, rate=48_000), 0.5 * voice(2, f0=200, rate=48_000, seed=1)])
    soundfile.write(tmp_path / "a.wav", wav.T, 48_000, subtype="PCM_24")
    with open_source(tmp_path / "a.wav", RATE, tmp_path) as source:
        assert (source.sample_rate, source.subtype, source.n_samples) == (48_000, "PCM_24", 96_000)
        assert abs(len(source.samples) - 32_000) <= 1 and source.samples.channels == 2
        np.testing.assert_allclose(source.products, wav.astype("f8") @ wav.T.astype("f8"), rtol=1e-4, atol=1e-4)
        assert source.samples.read(31_990, 40_000).shape[0] == len(source.samples) - 31_990
    assert os.listdir(tmp_path) == ["a.wav"]
    soundfile.write(tmp_path / "b.wav", np.zeros((100, 2)), 48_000)
    with pytest.raises(AudioError, match="silence"):
        open_source(tmp_path / "b.wav", RATE, tmp_path)


def test_memory_does_not_grow_with_length(tmp_path):
    peaks, wav = [], np.tile(bursts(10), 6)
    for n_minutes in (1, 4):
        with soundfile.SoundFile(tmp_path / "a.wav", "w", 48_000, 2) as file:
            for _ in range(n_minutes):
                file.write(np.repeat(np.stack([wav, 0.5 * wav], axis=1), 3, axis=0))
        tracemalloc.start()
        with open_source(tmp_path / "a.wav", RATE, tmp_path) as source, Spool(tmp_path, 1) as made:
            read = source.reader(0)
            powers = step_powers(read, len(source.samples), RATE)
            pieces = cut_at_pauses(powers, len(source.samples), RATE)
            for block in converted(pieces, read, np.copy, len(source.samples), RATE):
                made.append(block)
            write_converted(tmp_path / "b.wav", source, [(made, np.ones(2))], "PCM_16")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert soundfile.info(tmp_path / "b.wav").frames == 4 * 60 * 48_000
    assert peaks[1] < 1.05 * peaks[0] and peaks[1] < 60e6


@pytest.mark.parametrize(("subtype", "step"), [("PCM_16", 2**-15), ("PCM_24", 2**-23), ("PCM_U8", 2**-7), ("FLOAT", 0)])
def test_what_is_written_is_as_long_and_never_clips(tmp_path, subtype, step):
    wav = np.stack([voice(1), voice(1, seed=1)], axis=1)
    soundfile.write(tmp_path / "a.wav", wav[:-7], RATE, subtype=subtype)
    with open_source(tmp_path / "a.wav", RATE, tmp_path) as source, Spool(tmp_path, 1) as made:
        made.append(wav[:-7, 0])
        quiet = write_converted(tmp_path / "b.wav", source, [(made, np.array([1.0, -0.5]))], subtype)
        loud = write_converted(tmp_path / "c.wav", source, [(made, np.array([8.0, 1.0]))], subtype)
    found, rate = soundfile.read(tmp_path / "b.wav")
    assert rate == RATE and soundfile.info(tmp_path / "b.wav").subtype == subtype and quiet.scaled_db == 0
    np.testing.assert_allclose(found, wav[:-7, :1] * [1, -0.5], atol=step / 2 + 1e-7)
    found, _ = soundfile.read(tmp_path / "c.wav")
    assert np.abs(found).max() == pytest.approx(PEAK, abs=step + 1e-6) and loud.scaled_db < -6
    np.testing.assert_allclose(found, wav[:-7, :1] * [8, 1] * 10 ** (loud.scaled_db / 20), atol=step / 2 + 1e-6)


def test_where_conversions_go(tmp_path):
    for name in (
        "in/a.wav",
        "in/deep/b.FLAC",
        "in/deep/c.mp3",
        "in/notes.txt",
        "in/d.m4a",
        "other/a.wav",
        "e.wav",
        "e.mp3",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")

    def placed(inputs, out):
        made = plan([tmp_path / one for one in inputs], tmp_path / out, output_suffix)
        jobs = {str(job.source.relative_to(tmp_path)): str(job.out.relative_to(tmp_path)) for job in made.jobs}
        return jobs, [(str(error), error.found) for error in made.refused]

    assert placed(["e.wav"], "x.flac") == ({"e.wav": "x.flac"}, [])
    assert placed(["e.mp3"], "new") == ({"e.mp3": "new/e.wav"}, [])
    assert placed(["e.wav"], "other") == ({"e.wav": "other/e.wav"}, [])
    jobs, refused = placed(["in"], "new")
    assert jobs == {"in/a.wav": "new/a.wav", "in/deep/b.FLAC": "new/deep/b.FLAC", "in/deep/c.mp3": "new/deep/c.wav"}
    assert len(refused) == 1 and "ffmpeg" in refused[0][1]
    jobs, refused = placed(["other", "in/deep", "e.wav", "e.mp3"], "new")
    assert jobs == {
        "other/a.wav": "new/other/a.wav", "in/deep/b.FLAC": "new/deep/b.FLAC", "in/deep/c.mp3": "new/deep/c.wav",
        "e.wav": "new/e.wav",
    }  # fmt: skip
    assert len(refused) == 1 and "e.mp3" in refused[0][0] and "e.wav" in refused[0][1]
    for inputs, out in ((["in"], "in"), (["in"], "in/new"), (["in", "other"], "e.wav")):
        with pytest.raises(AudioError):
            placed(inputs, out)


def test_only_what_is_just_as_it_was_made_is_finished(tmp_path):
    source, out, key = tmp_path / "a.wav", tmp_path / "out" / "a.wav", {"method": "world", "explain": False}
    source.write_bytes(b"1")
    out.parent.mkdir()
    out.write_bytes(b"2")
    record = Record(out.parent, "done.json")
    assert not record.finished(source, out, key)
    record.add(source, out, key)
    assert Record(out.parent, "done.json").finished(source, out, key)
    assert not Record(out.parent, "done.json").finished(source, out, key | {"method": "knn"})
    assert not Record(out.parent, "done.json").finished(source, out, key | {"explain": True})
    for path, content in ((source, b"1"), (out, b"2")):
        path.write_bytes(b"3")
        assert not Record(out.parent, "done.json").finished(source, out, key)
        path.write_bytes(content)
    out.unlink()
    assert not Record(out.parent, "done.json").finished(source, out, key)
    (out.parent / "conversions.json").write_text("not JSON")
    assert not Record(out.parent, "done.json").finished(source, out, key)
    assert not Record(None, "done.json").finished(source, out, key)


def test_parts_that_a_killed_process_left_are_removed(tmp_path):
    process = next(number for number in range(2**22, 2**23) if not os.path.exists(f"/proc/{number}"))
    left, mine, other = f".a.{process}.partial.wav", f".a.{os.getpid()}.partial.wav", f".b.{process}.partial.wav"
    for name in (left, mine, other):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "a.wav")
    assert sorted(os.listdir(tmp_path)) == sorted([mine, other])


def test_the_best_method_of_the_audit_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "metrics" / "tiny" / "voice" / "outside.json"
    assert choose_method("knn", "tiny") == ("knn", "asked for")
    assert choose_method("auto", "tiny")[0] == "world" and "no audit" in choose_method("auto", "tiny").why
    write_json(path, {"systems": {}})
    assert choose_method("auto", "tiny")[0] == "world" and "best_method" in choose_method("auto", "tiny").why
    write_json(path, {"best_method": {"method": "knn", "why": "0.90 to the target"}})
    assert choose_method("auto", "tiny") == ("knn", "0.90 to the target")
    for wrong in ({"method": "hum"}, "knn"):
        write_json(path, {"best_method": wrong})
        with pytest.raises(FormatError, match="one of gan, knn, world"):
            choose_method("auto", "tiny")
    with pytest.raises(ConfigError, match="world or knn"):
        methods.check_formant("gan", 1.1)
