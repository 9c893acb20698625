"""The catalogue on responses whose delay, gain, reverberation and faults are planted."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile
from scipy.io import wavfile

from soundgate.audio.decay import clarity_db, find_direct, measure_room
from soundgate.audio.io import Audio, resample
from soundgate.runtime.errors import CorpusError, FormatError
from soundgate.runtime.files import sha256_of
from soundgate.tracks.rooms import irs
from soundgate.tracks.rooms.irs import IrSettings, build_catalogue, load_catalogue, prepare_ir
from tests.workers import as_by_workers

RATE = 48_000
SETTINGS = IrSettings(
    sample_rate=RATE,
    channel=0,
    search_s=0.05,
    look_back_s=0.005,
    max_removed_energy_db=-10,
    max_duration_s=5.0,
    min_samples=64,
    min_decay_db=25,
)
LOOK_BACK = 240
NO_FILES = pd.DataFrame(columns=["path", "reason"])


def room(rt60=0.4, duration=0.6, seed=0, rate=RATE):
    """A direct sound of 0.5 before noise that decays by 60 dB in ``rt60``."""
    time = np.arange(round(duration * rate)) / rate
    ir = 0.2 * np.random.default_rng(seed).standard_normal(len(time)) * 10 ** (-3 * time / rt60)
    ir[0] = 1
    return (0.5 * ir).astype(np.float32)


def index_of(folder, irs_by_id, rate=RATE):
    """Write float WAV files and return the index that a corpus of them would have."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for utt_id, ir in irs_by_id.items():
        path = folder / f"{utt_id}.wav"
        # Not by libsndfile, whose float files hold the second they were written in: equal content is to be equal bytes.
        wavfile.write(path, rate, np.atleast_2d(ir).T.astype(np.float32))
        rows.append((utt_id, f"room-{utt_id}", str(path), sha256_of(path), float("nan")))
    return pd.DataFrame(rows, columns=["utt_id", "speaker_id", "path", "sha256", "rt60_true_s"])


@pytest.fixture
def pools(tmp_path):
    return {
        "bad": index_of(tmp_path / "b", {"hall": room(seed=1), "attic": room(0.3, seed=2)}),
        "target": index_of(tmp_path / "t", {"hall": room(0.5, seed=3), "nave": room(0.6, 0.9, seed=4)}),
    }


def build(pools, out, **options):
    build_catalogue(pools, options.pop("rejected", NO_FILES), out, options.pop("settings", SETTINGS), **options)
    return load_catalogue(out)


def reason(wav, rate=RATE, **changes):
    prepared = prepare_ir(Audio(np.atleast_2d(wav), rate), SETTINGS.model_copy(update=changes))
    assert isinstance(prepared, str)
    return prepared


@pytest.mark.parametrize("delay", [0, 1, 239, 240, 241, 137 * 48])
def test_the_direct_sound_lies_at_the_same_sample_whatever_the_delay(delay):
    ir = room()
    prepared = prepare_ir(Audio(np.pad(ir, (delay, 0))[None], RATE), SETTINGS)
    assert prepared.facts["direct_sample"] == LOOK_BACK
    assert prepared.facts["removed_delay_samples"] == delay - LOOK_BACK
    assert not prepared.samples[:LOOK_BACK].any()
    assert prepared.samples[LOOK_BACK] == 1
    np.testing.assert_array_equal(prepared.samples[LOOK_BACK:] * np.float32(0.5), ir)


@pytest.mark.parametrize("delay_ms", [0, 5, 42, 137])
@pytest.mark.parametrize("rate", [32_000, 44_100, 22_050, 96_000])
def test_it_does_so_after_resampling(delay_ms, rate):
    delay = round(delay_ms * rate / 1000)
    prepared = prepare_ir(Audio(np.pad(room(rate=rate), (delay, 0))[None], rate), SETTINGS)
    assert np.argmax(np.abs(prepared.samples)) == find_direct(prepared.samples, RATE) == LOOK_BACK
    assert prepared.facts["removed_delay_samples"] == pytest.approx(delay * RATE / rate - LOOK_BACK, abs=0.5)
    assert prepared.facts["native_sample_rate"] == rate
    assert prepared.facts["bandwidth_hz"] == pytest.approx(min(rate, RATE) / 2, abs=500)


def test_a_response_that_starts_at_once_keeps_its_ringing():
    """Resampled with nothing before it, its first half would be cut off."""
    ir = room(rate=32_000)
    late = prepare_ir(Audio(np.pad(ir, (3200, 0))[None], 32_000), SETTINGS)
    at_once = prepare_ir(Audio(ir[None], 32_000), SETTINGS)
    np.testing.assert_allclose(at_once.samples, late.samples, atol=1e-5)


def test_a_reflection_louder_than_the_direct_sound_stays_where_it_was():
    ir = room()
    ir[100] = -0.9
    prepared = prepare_ir(Audio(np.pad(ir, (1000, 0))[None], RATE), SETTINGS)
    assert prepared.facts["removed_delay_samples"] == 1000 - LOOK_BACK
    assert prepared.samples[LOOK_BACK + 100] == -1
    assert prepared.samples[LOOK_BACK] == pytest.approx(0.5 / 0.9)
    assert prepared.facts["removed_gain"] == pytest.approx(0.9)
    assert prepared.facts["removed_energy_db"] == -200


def test_the_energy_cropped_with_the_delay_is_counted():
    """Sound that comes before what is taken for the direct sound is lost."""
    ir = np.pad(np.pad(room(), (4800, 0)), (1000, 0))
    ir[1000] = 0.2
    prepared = prepare_ir(Audio(ir[None], RATE), SETTINGS)
    assert prepared.facts["removed_delay_samples"] == 5800 - LOOK_BACK
    expected = 10 * np.log10(0.04 / np.square(ir, dtype=np.float64).sum())
    assert prepared.facts["removed_energy_db"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("gain", [1e-3, 0.3, 1.0])
def test_the_removed_gain_restores_the_file(gain):
    prepared = prepare_ir(Audio(gain * room()[None], RATE), SETTINGS)
    np.testing.assert_allclose(
        prepared.samples[LOOK_BACK:] * prepared.facts["removed_gain"], gain * room(), rtol=1e-6, atol=0
    )
    assert np.abs(prepared.samples).max() == 1


@pytest.mark.parametrize("rt60", [0.2, 0.5, 1.5])
@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_the_stored_response_sounds_like_the_original(rt60, rate):
    original = np.pad(room(rt60, 1.2 * rt60, rate=rate), (rate // 10, 0))
    prepared = prepare_ir(Audio(original[None], rate), SETTINGS)
    assert prepared.facts["rt60_s"] == pytest.approx(measure_room(original, rate).rt60_s, rel=0.002)
    assert prepared.facts["rt60_s"] == pytest.approx(rt60, rel=0.02)
    assert prepared.facts["c50_db"] == pytest.approx(clarity_db(original, rate), abs=0.05)
    assert measure_room(prepared.samples, RATE).rt60_s == prepared.facts["rt60_s"]


def test_one_channel_is_used_as_it_is():
    wav = np.stack([room(seed=1), -room(seed=1), room(seed=2)])
    for channel in range(3):
        prepared = prepare_ir(Audio(wav, RATE), SETTINGS.model_copy(update={"channel": channel}))
        np.testing.assert_allclose(
            prepared.samples[LOOK_BACK:] * np.float32(0.5),
            np.abs(wav[channel, 0]) / wav[channel, 0] * wav[channel],
            rtol=1e-6,
        )
        assert prepared.facts["channel"] == channel and prepared.facts["n_channels"] == 3
    assert reason(wav, channel=3) == "no channel 3: 3 channels"


@pytest.mark.parametrize("rate", [RATE, 44_100])
@pytest.mark.parametrize("delay", [0, 441])
def test_a_negative_direct_sound_is_turned_and_recorded(rate, delay):
    """Blended with the dry voice it would cancel it."""
    ir = np.pad(room(rate=rate), (delay, 0))
    ir[delay + 100] = 0.9  # A louder reflection does not decide.
    one, other = (prepare_ir(Audio(sign * ir[None], rate), SETTINGS) for sign in (1, -1))
    np.testing.assert_array_equal(one.samples, other.samples)
    assert (one.facts["polarity"], other.facts["polarity"]) == (1, -1) and one.samples[LOOK_BACK] > 0.5
    assert other.facts["removed_gain"] == -one.facts["removed_gain"]
    same = ("polarity", "removed_gain")
    assert {k: v for k, v in one.facts.items() if k not in same} == {
        k: v for k, v in other.facts.items() if k not in same
    }


def test_harmonics_that_a_swept_sine_leaves_before_the_direct_sound_are_measured_or_refused():
    ir = np.pad(room(), (RATE, 0))
    leftover = 0.5 * room(seed=3)[: RATE // 4] / np.linalg.norm(room(seed=3)[: RATE // 4]) * np.linalg.norm(room())
    for share, kept in ((0.1, True), (1.0, False)):
        wav = ir.copy()
        wav[RATE // 4 : RATE // 2] += share * leftover
        prepared = prepare_ir(Audio(wav[None], RATE), SETTINGS)
        assert isinstance(prepared, str) != kept
        if kept:
            assert prepared.facts["removed_energy_db"] == pytest.approx(20 * np.log10(0.5 * share), abs=0.1)
            assert not np.any(np.abs(prepared.samples[: LOOK_BACK // 2]) > 1e-3)
        else:
            assert "of its energy before its direct sound" in prepared


def test_a_long_tail_is_faded_out_and_counted():
    prepared = prepare_ir(Audio(room(1.0, 1.0)[None], RATE), SETTINGS.model_copy(update={"max_duration_s": 0.5}))
    assert len(prepared.samples) == LOOK_BACK + RATE // 2
    assert prepared.facts["removed_tail_samples"] == RATE // 2
    whole = prepare_ir(Audio(room(1.0, 1.0)[None], RATE), SETTINGS)
    np.testing.assert_array_equal(prepared.samples[:-480], whole.samples[: len(prepared.samples) - 480])
    assert np.abs(prepared.samples[-3:]).max() < 1e-3 * np.abs(whole.samples[len(prepared.samples) :]).max()
    assert whole.facts["removed_tail_samples"] == 0


def clipped():
    ir = room()
    ir[40:43] = [1, 1, 1]
    return ir


def clipped_below():
    ir = room()
    ir[40:44] = -1
    return ir


REJECTED = {
    "DC: constant at 0.25": np.full(RATE, 0.25, np.float32),
    "silent": np.stack([np.zeros(RATE, np.float32), room(duration=1.0)]),
    "clipped: 3 consecutive samples at full scale": clipped(),
    "clipped: 4 consecutive samples at full scale": clipped_below(),
    "clipped: 3 consecutive": 3 * clipped(),
    "too short: 63 samples": room(0.002, 63 / RATE),
    "onset at the file's end: 63 samples": np.concatenate([np.zeros(RATE), [1.0], np.full(62, 0.01)]),
    "insufficient decay": room(1.0, 0.3),
}


@pytest.mark.parametrize("expected", REJECTED)
def test_what_must_not_be_used_is_refused_with_its_reason(expected):
    assert reason(REJECTED[expected].astype(np.float32)).startswith(expected)


def test_what_is_just_good_enough_is_used():
    two_at_full_scale = room()
    two_at_full_scale[40:42] = 1
    shortest = room(0.001, 64 / RATE)
    for ir in (two_at_full_scale, shortest, room(1.0, 0.6), 20 * room()):
        assert not isinstance(prepare_ir(Audio(ir[None], RATE), SETTINGS), str)


def test_noise_an_impulse_and_a_buried_decay_are_insufficient():
    impulse = np.zeros(RATE, np.float32)
    impulse[100] = 0.5
    draws = np.random.default_rng(0)
    noise = 0.1 * draws.standard_normal(RATE)
    buried = room(1.0, 1.0) + 0.05 * draws.standard_normal(RATE)
    for ir in (impulse, noise, buried):
        assert reason(ir.astype(np.float32)).startswith("insufficient decay")
    assert reason(room(1.0, 0.6), min_decay_db=45).startswith("insufficient decay: 3")


def test_a_catalogue_holds_what_was_prepared(tmp_path, pools):
    pools["bad"].loc[pools["bad"]["utt_id"] == "hall", "rt60_true_s"] = 0.4
    catalogue = build(pools, tmp_path / "out", rejected=pd.DataFrame([("x.wav", "all zero")], columns=NO_FILES.columns))
    assert list(catalogue.entries) == ["bad-attic", "bad-hall", "target-hall", "target-nave"]
    assert catalogue.rejected == [{"path": "x.wav", "reason": "all zero"}]
    assert (catalogue.sample_rate, catalogue.look_back) == (RATE, LOOK_BACK)
    np.testing.assert_array_equal(catalogue.ir("target-hall")[LOOK_BACK:] * np.float32(0.5), room(0.5, seed=3))
    np.testing.assert_array_equal(catalogue.ir("bad-attic")[LOOK_BACK:] * np.float32(0.5), room(0.3, seed=2))
    entry = catalogue.entries["bad-hall"]
    assert (entry["pool"], entry["room_id"], entry["rt60_true_s"]) == ("bad", "room-hall", 0.4)
    assert entry["sha256"] == sha256_of(entry["path"])
    assert catalogue.entries["bad-attic"]["rt60_true_s"] is None
    whole = np.load(tmp_path / "out" / "irs.npy")
    assert whole.dtype == np.float32
    assert len(whole) == sum(entry["samples"] for entry in catalogue.entries.values())
    np.testing.assert_array_equal(np.concatenate([catalogue.ir(i) for i in catalogue.entries]), whole)


def test_a_faulty_file_is_left_out_with_its_reason(tmp_path, pools):
    pools["bad"] = pd.concat([pools["bad"], index_of(tmp_path / "c", {"a": clipped()})])
    catalogue = build(pools, tmp_path / "out")
    (left_out,) = catalogue.rejected
    assert left_out["path"] == str(tmp_path / "c" / "a.wav")
    assert left_out["reason"].startswith("clipped")
    assert len(catalogue.entries) == 4


def test_pools_share_no_content(tmp_path, pools):
    copy = tmp_path / "t" / "copy.wav"
    shutil.copy(tmp_path / "b" / "hall.wav", copy)
    pools["target"] = pd.concat(
        [pools["target"], pools["bad"].iloc[:1].assign(utt_id="copy", path=str(copy))], ignore_index=True
    )
    catalogue = build(pools, tmp_path / "out")
    assert "target-copy" not in catalogue.entries
    assert catalogue.rejected == [
        {"path": str(copy), "reason": f"duplicate content of {tmp_path / 'b' / 'hall.wav'} in pool bad"}
    ]
    pools["target"] = pools["bad"]
    with pytest.raises(CorpusError, match="pool target.*duplicate content"):
        build(pools, tmp_path / "same")


def test_a_pool_without_a_usable_response_ends_the_run(tmp_path, pools):
    pools["target"] = index_of(tmp_path / "c", {"a": clipped()})
    with pytest.raises(CorpusError, match="pool target.*clipped"):
        build(pools, tmp_path / "out")


def test_a_file_that_is_not_the_indexed_one_ends_the_run(tmp_path, pools):
    soundfile.write(tmp_path / "b" / "hall.wav", room(seed=9), RATE, subtype="FLOAT")
    with pytest.raises(FormatError, match="hall.wav.*Build the corpus again"):
        build(pools, tmp_path / "out")
    (tmp_path / "b" / "hall.wav").unlink()
    with pytest.raises(FormatError, match="hall.wav.*Build the corpus again"):
        build(pools, tmp_path / "out")


def test_workers_write_the_same_bytes(tmp_path, pools, monkeypatch):
    build(pools, tmp_path / "1")
    as_by_workers(monkeypatch)
    build(pools, tmp_path / "2")
    for name in ("irs.npy", "ir_catalogue.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def decoded(monkeypatch):
    """Note which files are decoded from here on."""
    read, names = irs.read_audio, []
    monkeypatch.setattr(irs, "read_audio", lambda path: names.append(path.name) or read(path))
    return names


def test_a_known_catalogue_saves_decoding_and_changes_no_byte(tmp_path, pools, monkeypatch):
    known = build(pools, tmp_path / "first")
    names = decoded(monkeypatch)
    build(pools, tmp_path / "second", known=known)
    assert names == []
    for name in ("irs.npy", "ir_catalogue.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_a_known_catalogue_is_believed_only_where_content_agrees(tmp_path, pools, monkeypatch):
    known = build(pools, tmp_path / "first")
    pools["bad"] = index_of(tmp_path / "b", {"hall": room(seed=8), "attic": room(0.3, seed=2)})
    names = decoded(monkeypatch)
    catalogue = build(pools, tmp_path / "second", known=known)
    assert names == ["hall.wav"]
    np.testing.assert_array_equal(catalogue.ir("bad-hall")[LOOK_BACK:] * np.float32(0.5), room(seed=8))
    np.testing.assert_array_equal(catalogue.ir("target-nave"), known.ir("target-nave"))


def test_a_known_catalogue_is_not_used_with_other_settings(tmp_path, pools, monkeypatch):
    known = build(pools, tmp_path / "first")
    names = decoded(monkeypatch)
    build(pools, tmp_path / "second", known=known, settings=SETTINGS.model_copy(update={"look_back_s": 0.004}))
    assert len(names) == 4


def test_a_moved_or_renamed_file_is_known_by_its_content(tmp_path, pools, monkeypatch):
    known = build(pools, tmp_path / "first")
    # A copy: libsndfile writes the time into a float WAV.
    path = tmp_path / "moved" / "loft.wav"
    path.parent.mkdir()
    shutil.copy(tmp_path / "b" / "attic.wav", path)
    row = ("loft", "room-loft", str(path), sha256_of(path), float("nan"))
    pools["bad"] = pd.DataFrame([row], columns=pools["bad"].columns)
    names = decoded(monkeypatch)
    catalogue = build(pools, tmp_path / "second", known=known)
    assert names == []
    entry = catalogue.entries["bad-loft"]
    assert (entry["room_id"], entry["path"]) == ("room-loft", str(tmp_path / "moved" / "loft.wav"))
    np.testing.assert_array_equal(catalogue.ir("bad-loft"), known.ir("bad-attic"))


def test_damaged_catalogues_are_refused(tmp_path, pools):
    out = tmp_path / "out"
    build(pools, out)
    card = json.loads((out / "ir_catalogue.json").read_text())
    content = (out / "irs.npy").read_bytes()
    (out / "irs.npy").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(FormatError, match="irs.npy.*sha256"):
        load_catalogue(out)
    (out / "irs.npy").write_bytes(content)
    card["irs"]["bad-hall"]["samples"] -= 1
    (out / "ir_catalogue.json").write_text(json.dumps(card))
    with pytest.raises(FormatError, match="irs.npy"):
        load_catalogue(out)
    for text in ("{}", "[]", "not json", json.dumps(card | {"irs": {"a": {}}})):
        (out / "ir_catalogue.json").write_text(text)
        with pytest.raises(FormatError, match="ir_catalogue.json"):
            load_catalogue(out)
    shutil.rmtree(out)
    with pytest.raises(FormatError):
        load_catalogue(out)


def test_planted_resampling_matches_the_shared_resampler():
    """One pass of the project's own resampler, nothing else."""
    ir = np.pad(room(rate=32_000), (3200, 0))
    prepared = prepare_ir(Audio(ir[None], 32_000), SETTINGS)
    expected = resample(ir[None], 32_000, RATE)[0]
    start = prepared.facts["removed_delay_samples"]
    restored = prepared.samples * np.float32(prepared.facts["removed_gain"])
    np.testing.assert_allclose(restored[:20_000], expected[start : start + 20_000], atol=2e-6)


def test_music_is_no_impulse_response():
    generator = np.random.default_rng(0)
    music = (0.1 * generator.standard_normal(RATE)).astype(np.float32)
    swelling = np.concatenate([music * np.linspace(0, 1, RATE, dtype=np.float32), room()])
    assert "not an impulse response" in reason(swelling)
    quieter = np.concatenate([0.01 * music, room()])
    assert prepare_ir(Audio(quieter[None], RATE), SETTINGS).facts["removed_energy_db"] < -10
