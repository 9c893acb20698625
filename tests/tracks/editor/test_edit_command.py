import json
import os
from urllib.parse import unquote

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import soundfile

from soundgate.audio.exact import read_exact
from soundgate.audio.programme import programme_loudness_lufs, true_peak
from soundgate.audio.spooled import open_exact
from soundgate.tracks.editor.edit_list import read_edit_list
from soundgate.tracks.editor.editing import command, inputs, output
from soundgate.tracks.editor.exports.formats import NAMES
from soundgate.tracks.editor.rendering import untouched
from soundgate.tracks.editor.timeline import LOOP_REPEATS
from tests.tracks.editor.edit_runs import BY_POLICY, RATE, REGIONS, edit, edited, music, refused, text, write


@pytest.mark.parametrize(
    ("name", "subtype", "channels", "rate"),
    [("a.wav", "PCM_16", 1, 44_100), ("a.wav", "PCM_24", 2, 48_000), ("a.flac", "PCM_24", 6, RATE),
     ("a.aif", "PCM_24", 2, RATE), ("A.AIFC", "FLOAT", 1, RATE), ("a.caf", "PCM_16", 2, RATE),
     ("a.wav", "PCM_32", 6, 8_000), ("a.wav", "FLOAT", 2, 22_050), ("a.flac", "PCM_16", 2, RATE)],
)  # fmt: skip
def test_keeping_all_changes_no_bit(work, models, name, subtype, channels, rate):
    source = write(work / name, subtype, channels=channels, rate=rate, seconds=3)
    out = work / f"out{source.suffix}"
    edited(source, "--out", out, "--models", models, "--labels", text(work / "l.txt", "0\t99\tKEEP\n"))
    wanted, found = read_exact(source), read_exact(out)
    assert (found.sample_rate, found.subtype) == (rate, subtype)
    assert found.samples.shape == wanted.samples.shape and found.samples.tobytes() == wanted.samples.tobytes()


@pytest.mark.parametrize("mode", ["splice", "generate"])
@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("channels", [2, 6])
def test_what_is_kept_has_the_very_samples_in_every_channel(work, models, mode, labels, channels):
    source, out = write(work / "a.wav", "PCM_24", channels=channels), work / "out.wav"
    own = ["--labels", text(work / "l.txt", REGIONS)] if labels else BY_POLICY
    edited(source, "--out", out, "--models", models, "--mode", mode, *own)
    raw, made = read_exact(source).samples, read_exact(out).samples
    origin = untouched(read_edit_list(work / "out.edit.json"))
    assert made.shape == (channels, len(origin))
    np.testing.assert_array_equal(made[:, origin >= 0], raw[:, origin[origin >= 0]])
    if labels:
        assert 0.5 < np.mean(origin >= 0) < 1


def test_generated_spans_are_heard_at_the_channels_levels(work, models):
    source, sounds = write(work / "a.wav", channels=2), {}
    labels = text(work / "l.txt", REGIONS)
    for mode in ("splice", "generate", "full"):
        edited(source, "--out", work / f"{mode}.wav", "--models", models, "--labels", labels, "--mode", mode)
        sounds[mode] = read_exact(work / f"{mode}.wav").samples / 2**31
    edit_list = read_edit_list(work / "splice.edit.json")
    shaped = [
        segment.label in ("EFFECT", "TRANSITION") for segment in edit_list.segments for _ in range(segment.repeats)
    ]
    edges = np.cumsum([0, *(segment.length for segment in edit_list.segments for _ in range(segment.repeats))])
    assert any(shaped)
    for generated, start, stop in zip(shaped, edges, edges[1:], strict=False):
        inner = slice(start + RATE // 50, stop - RATE // 50)
        assert generated != np.array_equal(sounds["splice"][:, inner], sounds["generate"][:, inner])
    # The second channel is the first at 0.3.
    left, right = np.sqrt(np.square(sounds["full"]).mean(axis=1))
    assert left > 0 and right / left == pytest.approx(0.3, abs=0.01)


def test_the_labels_that_were_written_are_taken_back(work, models):
    source = write(work / "a.wav", channels=2)
    edited(source, "--out", work / "one.wav", "--models", models, *BY_POLICY)
    edited(source, "--out", work / "two.wav", "--models", models, "--labels", work / "one.labels.txt")
    for ending in (".wav", ".edit.json", ".labels.txt"):
        assert (work / f"one{ending}").read_bytes() == (work / f"two{ending}").read_bytes()
    other = write(work / "b.wav", seconds=5)
    message = refused(other, "--out", work / "two.wav", "--models", models, "--labels", work / "one.labels.txt")
    assert "an edit of 80000 samples" in message


def test_exports_play_the_recording_and_are_taken_back(work, models):
    source = write(work / "a.wav", channels=2)
    labels = text(work / "l.txt", REGIONS)
    asked = [part for name in NAMES for part in ("--export", name)]
    edited(source, "--out", work / "one.wav", "--models", models, "--labels", labels, *asked, "--export", "rpp")
    for ending in (".otio", ".rpp", ".edl", ".fcpxml", ".labels.txt"):
        edited(source, "--out", work / "two.wav", "--models", models, "--labels", work / f"one{ending}")
        assert (work / "one.wav").read_bytes() == (work / "two.wav").read_bytes()
        assert str(source) in unquote((work / f"one{ending}").read_text()) or ending == ".labels.txt"
    assert not (work / "two.rpp").exists()
    other = write(work / "b.wav", seconds=5)
    message = refused(other, "--out", work / "two.wav", "--models", models, "--labels", work / "one.rpp")
    assert "an edit of 80000 samples" in message


def test_a_name_a_line_labels_the_beats_that_are_given(work, models):
    source, out = write(work / "a.wav"), work / "out.wav"
    beats = text(work / "b.txt", "0.5\t0.5\tx\n1.0 more\n2.0\n")
    labels = text(work / "l.txt", "keep\nCUT\nLOOP\nKEEP\n")
    edited(source, "--out", out, "--models", models, "--beats", beats, "--labels", labels, "--explain")
    table = pd.read_csv(work / "out.explain.csv")
    starts = table["start_s"][table["label"] == "LOOP"]
    # The last of the given beats is too long for one.
    assert starts.tolist() == [1.0] and table["start_s"].tolist() == [0, 0.5, 1, 2, 5] and table["stop_s"].iloc[-1] == 8
    assert read_exact(out).samples.shape[1] == round((8 - 0.5 + LOOP_REPEATS - 1) * RATE)
    labels.write_text("KEEP\n")
    assert "a name for each of" in refused(source, "--out", out, "--models", models, "--labels", labels)
    labels.write_text("0\t9\tSHOUT\n")
    assert "SHOUT" in refused(source, "--out", out, "--models", models, "--labels", labels)
    beats.write_text("2\n1\n")
    assert "times that rise" in refused(source, "--out", out, "--models", models, "--beats", beats)
    beats.write_text("99\n")
    assert "outside" in refused(source, "--out", out, "--models", models, "--beats", beats)


def test_labels_that_are_given_are_drawn(work, models, drawn):
    labels = text(work / "l.txt", REGIONS)
    edited(write(work / "a.wav"), "--out", work / "out.wav", "--models", models, "--labels", labels)
    picture = matplotlib.image.imread(work / "out.png")[..., :3]
    cut = np.array([184, 184, 184]) / 255
    assert np.any(np.abs(picture - cut).max(axis=2) < 0.01)


@pytest.mark.parametrize("case", ["missing", "empty", "text", "truncated", "nan", "folder"])
def test_bad_inputs_are_refused_in_one_line(work, models, case):
    source, out = work / "a.wav", work / "out.wav"
    out.write_bytes(b"what was there before")
    if case == "truncated":
        write(source)
        source.write_bytes(source.read_bytes()[:-1_000])
    elif case == "nan":
        soundfile.write(source, np.full(9_000, np.nan), RATE, subtype="FLOAT")
    elif case == "folder":
        source = work
    elif case != "missing":
        source.write_bytes({"empty": b"", "text": b"no audio at all"}[case])
    if case == "folder":
        assert edit(source, "--out", out, "--models", models).exit_code == 2
    else:
        assert source.name in refused(source, "--out", out, "--models", models)


def test_a_recording_that_was_never_closed_is_edited_with_a_warning(work, models, warnings):
    source = write(work / "a.wav", seconds=3)
    content = source.read_bytes()
    at = content.index(b"data") + 4
    source.write_bytes(content[:at] + bytes(4) + content[at + 4 :])
    edited(source, "--out", work / "out.wav", "--models", models, "--labels", text(work / "l.txt", "0\t1\tCUT\n"))
    assert read_exact(work / "out.wav").samples.shape[1] > RATE
    assert any("no length in the WAV header" in record.getMessage() for record in warnings.records)


@pytest.mark.parametrize(("samples", "reason"), [(np.zeros((2, 40_000)), "Silence"), (np.full((1, 1), 0.5), "shorter"),
                                                 (np.full((2, 900), 0.5), "shorter")])  # fmt: skip
def test_what_cannot_be_edited_is_copied_with_a_warning(work, models, warnings, samples, reason):
    source = write(work / "a.wav", samples=samples)
    edited(source, "--out", work / "out.wav", "--models", models, "--loudness", "-14")
    assert open_exact(work / "out.wav", work).samples.tobytes() == open_exact(source, work).samples.tobytes()
    assert any(reason in record.message and record.levelname == "WARNING" for record in warnings.records)


@pytest.mark.parametrize(
    ("frames", "channels", "rate", "limit", "length"),
    [(44_100 * 7_200, 2, 44_100, "1:41:26 h of 2 channels at 44100 Hz", "2:00:00 h"),
     (8_000 * 14_401, 1, 8_000, "4:00:00 h of 1 channels at 8000 Hz", "4:00:01 h")],
)  # fmt: skip
def test_a_recording_of_too_many_hours_is_refused_before_it_is_read(
    work, models, monkeypatch, frames, channels, rate, limit, length
):
    source = work / os.fsdecode(b"\xff.wav")
    with open(source, "wb") as opened, soundfile.SoundFile(
        opened.fileno(), "w", rate, channels, "PCM_16", format="WAV", closefd=False
    ) as file:  # fmt: skip
        file.write(np.zeros((1, channels)))
    # As long as its header says, and empty on the disk.
    header, size = bytearray(source.read_bytes()[:44]), frames * channels * 2
    header[4:8], header[40:44] = (size + 36).to_bytes(4, "little"), size.to_bytes(4, "little")
    source.write_bytes(header)
    os.truncate(source, 44 + size)
    monkeypatch.setattr(command, "run_edit", lambda *_: pytest.fail("it was read"))
    result = edit(source, "--out", work / "out.wav", "--models", models)
    assert result.exit_code == 1 and f"expected at most {limit} (4 h, and 536870912 samples in all)" in result.output
    assert f"found {length}. Edit it in parts." in result.output


def test_an_edit_that_its_container_cannot_hold_is_refused_before_it_is_played(work, models, monkeypatch):
    source = write(work / "a.wav", "PCM_32", channels=6)
    header = json.dumps({"sample_rate": RATE, "n_samples": 8 * RATE})
    labels = text(work / "l.txt", f"0\t8\tedit {header}\n0\t8\t0 LOOP x1500\n")
    monkeypatch.setattr(command, "play", lambda *_: pytest.fail("it was played"))
    arguments = ("--models", models, "--labels", labels)
    message = refused(source, "--out", work / "out.aiff", *arguments)
    assert "at most 4 GiB in .aiff: .w64, .rf64 and .caf hold more; found 4.3 GiB" in message


def test_without_beats_there_is_a_grid(work, models, warnings, monkeypatch):
    monkeypatch.setattr(inputs, "track_beats", lambda *_: np.empty(0, np.int64))
    source = write(work / "a.wav")
    edited(source, "--out", work / "out.wav", "--models", models, "--explain")
    starts = pd.read_csv(work / "out.explain.csv")["start_s"]
    assert any("No beats were found" in record.message for record in warnings.records)
    np.testing.assert_allclose(starts, np.arange(len(starts)) * 60 / 110, atol=1e-3)


def test_an_edit_of_which_nothing_is_left_is_refused(work, models):
    source, labels = write(work / "a.wav"), text(work / "l.txt", "0\t99\tCUT\n")
    assert "CUT alone" in refused(source, "--out", work / "out.wav", "--models", models, "--labels", labels)


def test_the_input_is_never_overwritten(work, models):
    source = write(work / "a.wav")
    os.link(source, work / "same.wav")
    for out in (source, work / "same.wav"):
        assert "other than the input" in refused(source, "--out", out, "--models", models)
    assert "other than the input" in refused(source, "--out", work, "--models", models)


def test_a_container_that_does_not_hold_the_format_is_refused(work, models):
    source = write(work / "a.wav", "FLOAT")
    for name in ("out.flac", "out.xyz", "out"):
        message = refused(source, "--out", work / name, "--models", models)
        assert all(suffix in message for suffix in (".wav", ".aif", ".mp3", ".opus")) and ".flac," not in message
    message = refused(write(work / "b.wav", channels=9), "--out", work / "out.flac", "--models", models)
    assert "9 channels of PCM_16: .wav" in message and ".flac," not in message


@pytest.mark.parametrize(
    ("given", "name", "rate"),
    [("a.mp3", "out.mp3", RATE), ("a.aiff", "out.MP3", RATE), ("a.mp3", "out.opus", RATE),
     ("a.aiff", "out.opus", 44_100), ("a.wav", "out.ogg", RATE), ("a.mp3", "out.aiff", RATE),
     ("a.aiff", "out.voc", RATE), ("a.mp3", "out.voc", RATE)],
)  # fmt: skip
def test_every_format_is_written(work, models, warnings, given, name, rate):
    samples = music(3, rate=rate)
    soundfile.write(work / given, samples.T, rate)
    labels = text(work / "l.txt", "0\t1\tCUT\n")
    edited(work / given, "--out", work / name, "--models", models, "--labels", labels)
    made, made_rate = soundfile.read(work / name, always_2d=True)
    resampled = rate == 44_100
    assert made_rate == (48_000 if resampled else rate) and len(made) / made_rate == pytest.approx(2, abs=0.05)
    assert any("as the format does not hold 44100 Hz" in record.message for record in warnings.records) == resampled
    assert made[:, 0].std() == pytest.approx(samples[0, rate:].std(), rel=0.05)


def test_a_name_of_any_characters_is_edited_and_drawn(work, models, drawn):
    source = work / os.fsdecode(b"a$b\\frac{$ \"quoted' `\xe6\x97\xa5 [/red] %s \xff.wav")
    write(source, seconds=2)
    out = source.with_name(f"out {source.name}")
    edited(source, "--out", out, "--models", models, "--labels", text(work / "l.txt", "0\t1\tCUT\n"))
    assert read_exact(out).samples.shape[1] == pytest.approx(RATE, rel=0.1)
    assert matplotlib.image.imread(out.with_suffix(".png")).std() > 0.1
    assert "a name that Reaper reads" in refused(source, "--out", out, "--models", models, "--export", "rpp")


@pytest.mark.parametrize(("name", "subtype"), [("out.wav", "FLOAT"), ("out.flac", "PCM_16")])
def test_lossy_recordings_become_floats_or_16_bits(work, models, name, subtype):
    soundfile.write(work / "a.ogg", music(3).T, RATE)
    labels = text(work / "l.txt", "0\t9\tKEEP\n")
    edited(work / "a.ogg", "--out", work / name, "--models", models, "--labels", labels)
    made, raw = read_exact(work / name), read_exact(work / "a.ogg").samples
    assert made.subtype == subtype
    samples = made.samples / 2**31 if made.samples.dtype.kind == "i" else made.samples
    np.testing.assert_allclose(samples, raw, atol=0 if subtype == "FLOAT" else 2**-16)


def test_models_that_are_not_there_are_named_with_what_makes_them(work, models, tmp_path_factory):
    source, out = write(work / "a.wav"), work / "out.wav"
    empty = tmp_path_factory.mktemp("none")
    assert "dvc repro editor-policy" in refused(source, "--out", out, "--models", empty, *BY_POLICY)
    assert "data/embedded/editor/policy" in refused(source, "--out", out, *BY_POLICY)
    labels = text(work / "l.txt", "0\t2\tEFFECT\n")
    assert "dvc repro editor-reconstruct" in refused(source, "--out", out, "--models", empty, "--labels", labels)
    labels.write_text("0\t2\tCUT\n")
    edited(source, "--out", out, "--models", empty, "--labels", labels)


def test_without_a_vocoder_griffin_and_lim_stand_in(work, models, warnings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    (folder / "reconstruction").symlink_to(models / "reconstruction")
    labels = text(work / "l.txt", "0\t1\tEFFECT\n")
    source = write(work / "a.wav", seconds=2)
    edited(source, "--out", work / "out.wav", "--models", folder, "--labels", labels, "--mode", "generate")
    assert any("Griffin" in record.message for record in warnings.records)
    assert read_exact(work / "out.wav").samples.std() > 0


def test_the_loudness_is_reached_unless_it_clips(work, models, warnings):
    source, labels = write(work / "a.wav", "PCM_24", channels=2), text(work / "l.txt", "0\t99\tKEEP\n")
    for target, limited in ((-30, False), (-3, True)):
        warnings.clear()
        out = work / f"out{target}.wav"
        edited(source, "--out", out, "--models", models, "--labels", labels, "--loudness", target)
        made = read_exact(out).samples
        loudness, peak_db = programme_loudness_lufs(made, RATE), 20 * np.log10(true_peak(made, RATE))
        assert (loudness == pytest.approx(target, abs=0.05)) != limited
        assert (peak_db == pytest.approx(output.PEAK_LIMIT_DBTP, abs=0.05)) == limited
        assert any("would clip" in record.message for record in warnings.records) == limited


def test_a_file_that_is_there_is_replaced_whole_or_not_at_all(work, models, monkeypatch):
    source, out = write(work / "a.wav"), text(work / "out.wav", "before")
    labels = text(work / "l.txt", "0\t1\tCUT\n")
    with monkeypatch.context() as patch:
        patch.setattr("soundgate.audio.exact.on_steps", lambda *_: 1 / 0)
        failed = edit(source, "--out", out, "--models", models, "--labels", labels)
    assert isinstance(failed.exception, ZeroDivisionError)
    assert out.read_text() == "before" and not [path for path in work.iterdir() if "partial" in path.name]
    edited(source, "--out", out, "--models", models, "--labels", labels)
    assert read_exact(out).samples.shape[1] < 8 * RATE
