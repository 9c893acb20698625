"""Renderings: the notes are heard where the score has them, in every style, by every source."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.neighbors import NearestCentroid

from soundgate.audio.filters import pass_sections, run_sections
from soundgate.audio.mel import MelSettings, MelTransform
from soundgate.corpora.generated_music import plan_renderings, read_music_source, render
from soundgate.corpora.recording_chain import (
    MAX_PEAK,
    Compressor,
    RecordingChain,
    Reverberation,
    compress,
    record,
    reverberate,
    rms,
)
from soundgate.corpora.scores import BEAT_TYPES, CLOSED_HAT, KICK, NOTE_TYPES, SNARE, Score, draw_score
from soundgate.corpora.styles import Source, own_timbre, play_score
from soundgate.corpora.synthesiser import SAMPLE_RATE, DrumKit, Timbre, drum, play_drums, play_notes, wave_tables
from soundgate.runtime.errors import ConfigError

LIST = Path(__file__).resolve().parents[2] / "sources" / "generated_music.yaml"
N_SCORES, DURATION_S, HOP = 6, 6.0, 256


@pytest.fixture(scope="module")
def source_list():
    return read_music_source(LIST)


@pytest.fixture(scope="module")
def corpus(source_list):
    """Return the scores, and the waveform of each rendering."""
    scores = {f"s{number:04d}": draw_score(f"s{number:04d}", 1, DURATION_S) for number in range(N_SCORES)}
    plan = plan_renderings(source_list, list(source_list.styles), N_SCORES, 2)
    return scores, {own: render(scores[own.score_id], own, source_list, 1) for own in plan}


@pytest.fixture(scope="module")
def mels(corpus):
    transform = MelTransform(MelSettings())
    return {own: transform(torch.from_numpy(wav)[None])[0].numpy() for own, wav in corpus[1].items()}


def generator():
    return np.random.default_rng(0)


def one_note(onset_s=0.5, midi=69, duration_s=1.0):
    """Return a score of a single note of the melody."""
    note = ("x", "melody", onset_s, onset_s + duration_s, midi, 127)
    notes = pd.DataFrame([note], columns=list(NOTE_TYPES)).astype(NOTE_TYPES)
    beats = pd.DataFrame([("x", onset_s, True)], columns=list(BEAT_TYPES)).astype(BEAT_TYPES)
    return Score("x", 100.0, 2.0, notes, beats)


def magnitudes(wav, n_fft=4096, hop=512):
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wav, n_fft // 2), n_fft)[::hop]
    return np.abs(np.fft.rfft(frames * np.hanning(n_fft), axis=1)).T


def chroma(wav):
    """Return the energy of each pitch class in 100 to 2,000 Hz, frame by frame, each frame of unit length."""
    spectrum = np.square(magnitudes(wav))
    frequency = np.fft.rfftfreq(4096, 1 / SAMPLE_RATE)
    inside = (frequency > 100) & (frequency < 2_000)
    classes = np.rint(12 * np.log2(frequency[inside] / 440) + 69).astype(int) % 12
    out = np.sqrt(np.stack([spectrum[inside][classes == own].sum(axis=0) for own in range(12)]))
    return out / np.maximum(np.linalg.norm(out, axis=0), 1e-9)


def test_every_rendering_is_loud_enough_and_none_clips(corpus):
    for own, wav in corpus[1].items():
        assert wav.dtype == np.float32 and len(wav) == DURATION_S * SAMPLE_RATE
        assert np.abs(wav).max() <= MAX_PEAK + 1e-6
        assert -23 < 20 * np.log10(rms(wav)) < -19.9, own


def test_every_style_and_source_sounds_a_note_on_time_and_in_tune(source_list):
    score = one_note()
    for style in source_list.styles.values():
        for source in source_list.sources:
            wav = record(play_score(score, style, source, generator()), source.chain, generator())
            band = run_sections(pass_sections("high", 300, SAMPLE_RATE), wav)
            level = np.sqrt(np.convolve(np.square(band), np.ones(110) / 110, mode="same"))
            onset_s = np.argmax(level > 0.3 * level[:SAMPLE_RATE].max()) / SAMPLE_RATE
            assert -0.002 < onset_s - 0.5 < 0.012, (source.name, onset_s)
            held = wav[round(0.6 * SAMPLE_RATE) : round(0.9 * SAMPLE_RATE)]
            spectrum = np.abs(np.fft.rfft(held * np.hanning(len(held)), 2**17))
            frequency = np.fft.rfftfreq(2**17, 1 / SAMPLE_RATE)
            near = (frequency > 380) & (frequency < 510)
            assert abs(1200 * np.log2(frequency[near][spectrum[near].argmax()] / 440)) < 25


def test_the_same_score_is_aligned_in_all_its_renderings(source_list, corpus):
    """Onset envelopes of the pitched parts correlate best without a lag, give or take a frame of 12 ms."""
    transform, rises = MelTransform(MelSettings()), {}
    for own in corpus[1]:
        score = corpus[0][own.score_id]
        pitched = replace(score, notes=score.notes[score.notes["part"] != "drums"])
        mel = transform(torch.from_numpy(render(pitched, own, source_list, 1))[None])[0].numpy()
        rise = np.maximum(np.diff(mel[8:70]), 0).mean(axis=0)
        rises[own] = rise - rise.mean()
    lags = []
    for first, second in combinations(rises, 2):
        if first.score_id == second.score_id:
            length = len(rises[first]) - 12
            near = [rises[first][6 + lag :][:length] @ rises[second][6:][:length] for lag in range(-6, 7)]
            lags.append(np.argmax(near) - 6)
    assert np.median(lags) == 0
    assert np.mean(np.abs(lags) <= 1) > 0.95


def test_the_melody_is_heard_in_every_style(corpus):
    """At most times of a melody's note, its pitch class is among the strongest three; chance is a quarter."""
    hits = {}
    for own, wav in corpus[1].items():
        heard = chroma(wav)
        times = np.arange(heard.shape[1]) * 512 / SAMPLE_RATE
        melody = corpus[0][own.score_id].notes.query("part == 'melody'")
        for note in melody.itertuples():
            frames = (times >= note.onset_s + 0.04) & (times < note.offset_s)
            if frames.any():
                mean = heard[:, frames].mean(axis=1)
                hits.setdefault(own.style, []).append((mean > mean[note.midi % 12]).sum() < 3)
    for style, own in hits.items():
        assert np.mean(own) > 0.8, (style, np.mean(own))


def test_the_score_is_told_by_chroma_across_styles(corpus):
    """Another style's rendering of the same score is nearer than any rendering of another score."""
    names = list(corpus[1])
    rows = np.stack([chroma(corpus[1][own]).ravel() for own in names])
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = []
    for position, own in enumerate(names):
        others = [k for k, name in enumerate(names) if name.style != own.style]
        found.append(names[max(others, key=lambda k: rows[position] @ rows[k])].score_id == own.score_id)
    assert np.mean(found) > 0.97


def test_styles_are_told_apart_on_scores_and_sources_never_heard(mels):
    names = list(mels)
    rows = np.stack([np.concatenate([mels[own].mean(axis=1), mels[own].std(axis=1)]) for own in names])
    styles = np.array([own.style for own in names])
    for key in ("score_id", "source"):
        groups = np.array([getattr(own, key) for own in names])
        right = []
        for left_out in sorted(set(groups)):
            train = groups != left_out
            scale = rows[train].std(axis=0)
            found = NearestCentroid().fit(rows[train] / scale, styles[train]).predict(rows[~train] / scale)
            right.extend(found == styles[~train])
        assert np.mean(right) > 0.9, key


def test_sources_leave_a_trace_smaller_than_the_styles(corpus, mels):
    distance = {"style": [], "source": []}
    for first, second in combinations(mels, 2):
        if first.score_id == second.score_id and (first.style == second.style) != (first.source == second.source):
            kind = "source" if first.style == second.style else "style"
            distance[kind].append(np.abs(mels[first] - mels[second]).mean())
    assert 2 < np.mean(distance["source"]) < 0.7 * np.mean(distance["style"])


def test_styles_have_their_marks(source_list, corpus):
    power = {}
    for own, wav in corpus[1].items():
        spectrum = np.square(np.abs(np.fft.rfft(wav)))
        power.setdefault(own.style, []).append(spectrum / spectrum.sum())
    frequency = np.fft.rfftfreq(round(DURATION_S * SAMPLE_RATE), 1 / SAMPLE_RATE)
    mean = {style: np.mean(rows, axis=0) for style, rows in power.items()}
    below_100 = {style: own[frequency < 100].sum() for style, own in mean.items()}
    above_4k = {style: own[frequency > 4_000].sum() for style, own in mean.items()}
    assert below_100["hiphop"] == max(below_100.values()) and below_100["classical"] == min(below_100.values())
    assert above_4k["electronic"] == max(above_4k.values()) and above_4k["lofi"] == min(above_4k.values())
    assert source_list.styles["classical"].drums is None


def test_sources_rotate_over_the_styles(source_list):
    plan = pd.DataFrame(plan_renderings(source_list, list(source_list.styles), 8, 2))
    assert (pd.crosstab(plan["style"], plan["source"]) == 4).all(axis=None)
    assert (plan.groupby(["score_id", "style"])["source"].nunique() == 2).all()
    assert plan["utt_id"].is_unique
    assert plan["utt_id"].tolist()[:2] == ["s0000-hiphop-studio", "s0000-hiphop-cassette"]
    fewer = plan_renderings(source_list, ["electronic"], 3, 2)
    assert set(fewer) < set(plan.itertuples(index=False, name=None))


def test_a_confounded_plan_ties_each_style_to_a_source(source_list):
    plan = pd.DataFrame(plan_renderings(source_list, list(source_list.styles), 5, 2, confounded=True))
    assert len(plan) == 20
    assert plan.groupby("style")["source"].nunique().eq(1).all() and plan["source"].nunique() == 4


def test_plans_that_cannot_be_are_refused(source_list):
    with pytest.raises(ConfigError, match="polka"):
        plan_renderings(source_list, ["polka"], 1, 1)
    with pytest.raises(ConfigError, match=r"sources_per_style.*at least 5 .* found 4"):
        plan_renderings(source_list, ["lofi"], 1, 5)
    few = source_list.model_copy(update={"sources": source_list.sources[:3]})
    with pytest.raises(ConfigError, match="confounded"):
        plan_renderings(few, ["lofi"], 1, 1, confounded=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("name: stage", "name: studio"), "names repeat"),
        (("low_hz: 28", "low_hz: 10800"), "not below"),
        (("drive: 0.7", "drove: 0.7"), "drove"),
        (("attack_s: 0.014, release_s: 0.12", "attack_s: 0.5, release_s: 0.12"), "attack_s"),
        (("styles:", "styles: ["), "flow"),
    ],
)
def test_a_wrong_source_list_is_refused(tmp_path, change, reason):
    (tmp_path / "list.yaml").write_text(LIST.read_text().replace(*change, 1))
    with pytest.raises(ConfigError, match=reason):
        read_music_source(tmp_path / "list.yaml")


def test_wave_tables_hold_the_harmonics_they_promise():
    timbre = Timbre(tilt_db=-6, even_db=-10, bright_hz=1e6, dark_hz=1e-3 + 880)
    bright, dark = wave_tables(timbre, 69)
    levels = 20 * np.log10(np.abs(np.fft.rfft(bright))[:25] + 1e-12)
    np.testing.assert_allclose(levels[[2, 3, 4]] - levels[1], [-16, -6 * np.log2(3), -22], atol=0.01)
    assert levels[23] < levels[22] - 60  # 23 · 440 Hz is above 0.45 of the rate
    assert rms(bright) == pytest.approx(1, abs=1e-5)
    # The low-pass has 3 dB less at its cutoff, here the second harmonic, and barely any loss an octave below.
    difference = 20 * np.log10(np.abs(np.fft.rfft(dark))[1:3]) - levels[1:3]
    np.testing.assert_allclose(difference, [-10 * np.log10(1 + 1 / 16), -10 * np.log10(2)], atol=0.02)


def test_a_tone_has_its_pitch_envelope_and_end():
    timbre = Timbre(tilt_db=-60, attack_s=0.01, decay_s=0.5, release_s=0.02, darkening_s=1e6)
    wav = play_notes(one_note().notes, timbre, 2 * SAMPLE_RATE, generator())
    assert not wav[: SAMPLE_RATE // 2].any() and not wav[round(1.6 * SAMPLE_RATE) :].any()
    levels = [rms(wav[round(at * SAMPLE_RATE) :][:2205]) for at in (0.6, 0.9, 1.2)]
    assert levels[1] / levels[0] == pytest.approx(np.exp(-0.3 / 0.5), rel=0.01)
    assert levels[2] / levels[1] == pytest.approx(np.exp(-0.3 / 0.5), rel=0.01)
    spectrum = np.abs(np.fft.rfft(wav * np.hanning(len(wav))))
    assert spectrum.argmax() / 2 == pytest.approx(440, abs=0.5)


def test_detuned_voices_and_vibrato_keep_the_pitch():
    for timbre in (Timbre(voices_cents=(-10, 10)), Timbre(vibrato_cents=20)):
        wav = play_notes(one_note(0.0, duration_s=2.0).notes, timbre, 2 * SAMPLE_RATE, generator())
        power = np.square(np.abs(np.fft.rfft(wav * np.hanning(len(wav)))))[840:920]
        assert power @ np.arange(840, 920) / power.sum() / 2 == pytest.approx(440, abs=0.5)
        assert 2 < (power > 0.05 * power.max()).sum()


def test_drums_ring_where_they_should():
    kit = DrumKit(kick_hz=50, hat_hz=6_000)
    centroid = {}
    for midi in (KICK, SNARE, CLOSED_HAT):
        spectrum = np.square(np.abs(np.fft.rfft(drum(kit, midi), SAMPLE_RATE)))
        centroid[midi] = spectrum @ np.arange(len(spectrum)) / spectrum.sum()
    assert centroid[KICK] < 110 < 500 < centroid[SNARE] < 6_000 < centroid[CLOSED_HAT]
    hits = pd.DataFrame({"onset_s": [0.25, 0.95], "midi": [KICK, KICK], "velocity": [127, 64]})
    wav = play_drums(hits, kit, SAMPLE_RATE)
    assert not wav[: SAMPLE_RATE // 4].any()
    np.testing.assert_allclose(wav[round(0.25 * SAMPLE_RATE) :][:900], drum(kit, KICK)[:900])
    with pytest.raises(ValueError, match="no drum 1"):
        drum(kit, 1)


def test_a_source_changes_an_instrument_by_what_it_says():
    source = Source(name="x", bright_octaves=1, decay_scale=2, detune_cents=4)
    changed = own_timbre(Timbre(bright_hz=1_000, decay_s=0.3, voices_cents=(-5, 5)), source)
    assert changed.bright_hz == 2_000 and changed.decay_s == 0.6 and changed.voices_cents == (-9, 9)
    assert own_timbre(Timbre(), Source(name="y")) == Timbre()


def test_the_chain_does_what_it_says():
    noise = generator().standard_normal(20 * SAMPLE_RATE).astype(np.float32)
    wav = record(noise, RecordingChain(low_hz=200, high_hz=4_000, noise_db=-90), generator())
    power = np.square(np.abs(np.fft.rfft(wav)))
    band = [power[20 * low : 20 * high].mean() for low, high in ((190, 210), (900, 1_100), (3_900, 4_100))]
    assert 10 * np.log10(band[0] / band[1]) == pytest.approx(-3, abs=1)
    assert 10 * np.log10(band[2] / band[1]) == pytest.approx(-3, abs=1)
    tone = np.sin(2 * np.pi * 1_000 * np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    wav = record(tone, RecordingChain(noise_db=-30, noise_high_hz=11_000), generator())
    spectrum = np.square(np.abs(np.fft.rfft(wav * np.hanning(len(wav)))))
    inside = np.zeros(len(spectrum), bool)
    inside[1_990:2_011] = True
    assert 10 * np.log10(spectrum[~inside].sum() / spectrum[inside].sum()) == pytest.approx(-30, abs=0.5)
    assert 20 * np.log10(rms(wav)) == pytest.approx(-20, abs=0.01)


def test_reverberation_decays_at_its_rate_and_keeps_the_direct_sound():
    pulse = np.zeros(SAMPLE_RATE, np.float32)
    pulse[100] = 1
    wet = reverberate(pulse, Reverberation(rt60_s=0.6, wet_db=-6))
    assert not np.abs(wet[:100]).max() > 1e-5 and wet[100] == pytest.approx(1, abs=0.1)
    tail = np.square(wet[101:])
    assert 10 * np.log10(tail.sum()) == pytest.approx(-6, abs=0.5)
    early, late = tail[:2205].mean(), tail[4410:6615].mean()
    assert 10 * np.log10(late / early) == pytest.approx(-60 * 0.2 / 0.6, abs=2)


def test_a_compressor_divides_what_is_over_its_threshold():
    wav = np.sin(np.arange(4 * SAMPLE_RATE) * 0.3).astype(np.float32)
    wav[: 2 * SAMPLE_RATE] *= 0.1
    out = compress(wav, Compressor(threshold_db=-40, ratio=2))

    def level(signal, second):
        return 20 * np.log10(rms(signal[second * SAMPLE_RATE :][: SAMPLE_RATE // 2]))

    assert level(wav, 3) - level(wav, 0) == pytest.approx(20, abs=0.1)
    assert level(out, 3) - level(out, 0) == pytest.approx(10, abs=0.1)


def test_noises_are_keyed_by_the_rendering(source_list):
    score = draw_score("s0000", 1, 2.0)
    first, second = plan_renderings(source_list, ["lofi"], 1, 2)
    wav = render(score, first, source_list, 1)
    np.testing.assert_array_equal(wav, render(score, first, source_list, 1))
    renamed = first._replace(utt_id="another")
    assert not np.array_equal(wav, render(score, renamed, source_list, 1))
    assert not np.array_equal(wav, render(score, second, source_list, 1))
