"""Gates by an outside judge on planted voices: it counts noise between bursts; and the real judge's own figures."""

import numpy as np
import pandas as pd
import pytest

from soundgate.audio.io import write_audio
from soundgate.audio.noisy import with_white_noise
from soundgate.corpora.index import Entry, build_index, write_corpus
from soundgate.judges.registry import load_judge
from soundgate.runtime.errors import FormatError
from soundgate.tracks.rooms.outside.listening import COLUMNS, rate_recordings, ratings
from soundgate.tracks.rooms.outside.recordings import CLEAN, NOISY, choose, known_recordings, no_recordings
from soundgate.tracks.rooms.outside.report import report_markdown
from soundgate.tracks.rooms.outside.settings import OutsideSettings, OutsideThresholds
from soundgate.tracks.rooms.outside.summary import hearing, numbers, outside_gates, summarise
from soundgate.tracks.rooms.outside.systems import SYSTEMS, Signal, place_of, signals_of
from soundgate.tracks.rooms.segments import load_segments
from soundgate.tracks.rooms.sterilise import SteriliseSettings, sterilise

RATE = 16_000
SETTINGS = OutsideSettings(
    seed=0, n_noisy=4, n_clean=3, noisy_below_db=30, speech_s=3, margin_s=0.5, noise_db=0,
    thresholds=OutsideThresholds(gain=0.1, loss=0.1), n_bootstrap=200,
)  # fmt: skip
STERILISE = SteriliseSettings(
    sample_rate=RATE, clip_samples=RATE, reduce_noise=True, clean_snr_db=30, trim_top_db=40, min_duration_s=0.5,
    loudness_lufs=-23, files_per_shard=5, budget_gb=1,
)  # fmt: skip


class Planted:
    """Rates by how far the quietest tenth of the frames lies below the mean; one that is deaf rates all alike."""

    sample_rate, min_rate, min_s = RATE, RATE, 1.0

    def __init__(self, hears=True):
        self.hears = hears

    def primary_ratings(self, wavs, sample_rate):
        assert sample_rate == RATE
        ratings = np.array([self.rating(wav) if wav.any() else np.nan for wav in wavs])
        return {"dnsmos_overall": ratings, "dnsmos_background": ratings}

    def rating(self, wav):
        powers = np.square(wav[: len(wav) // 320 * 320].reshape(-1, 320), dtype=np.float64).mean(axis=1)
        floor_db = 10 * np.log10(np.quantile(powers, 0.1) / powers.mean() + 1e-6)
        return 1 - floor_db / 20 if self.hears else 3.0


def bursts(number, seconds=4.0):
    """Half a second of a tone after every quarter of a second of nothing."""
    time_s = np.arange(round(seconds * RATE)) / RATE
    heard = (time_s % 0.75 >= 0.25) & (time_s < seconds - 0.25)
    return (0.3 * heard * np.sin(2 * np.pi * (200 + 17 * number) * time_s) * np.sin(3 * time_s + number)).astype(
        np.float32
    )


def noisy(wav, snr_db, number):
    return with_white_noise(wav, RATE, snr_db, number)


def corpus(folder, voices):
    """Write recordings and truths: (speaker, samples, truth or None, the true ratio, rate)."""
    entries, truth = [], {}
    for number, (speaker, wav, clean, snr_db, rate) in enumerate(voices):
        path, name = folder / "v" / f"u{number}.flac", f"u{number}"
        write_audio(path, wav, rate, "PCM_24")
        entries.append(Entry(name, speaker, path))
        clean_path = ""
        if clean is wav:
            clean_path = "itself"
        elif clean is not None:
            write_audio(folder / "clean" / f"{name}.flac", clean, rate, "PCM_24")
            clean_path = str(folder / "clean" / f"{name}.flac")
        truth[name] = clean_path, snr_db
    index, rejected = build_index(entries, "voices")
    known = [truth[name] for name in index["utt_id"]]
    paths = [path if clean == "itself" else clean for path, (clean, _) in zip(index["path"], known, strict=True)]
    write_corpus(folder / "v", index.assign(clean_path=paths, noise_snr_db=[one for _, one in known]), rejected)


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    """Four speakers with two noisy recordings, three with a clean one, and what must be left out."""
    folder = tmp_path_factory.mktemp("voices")
    given = []
    for number in range(8):
        clean = bursts(number)
        given.append((f"s{number % 4}", noisy(clean, 12 + number, number), clean, 12 + number, RATE))
    given += [(f"s{number % 3}", *[bursts(number)] * 2, np.nan, RATE) for number in range(8, 11)]
    clean = bursts(11)
    given += [
        ("hardly", noisy(clean, 45, 11), clean, 45.0, RATE),
        ("unknown", noisy(bursts(12), 15, 12), None, np.nan, RATE),
        ("silent", bursts(13), None, np.nan, RATE),
        ("short", *[bursts(14, 1.2)] * 2, np.nan, RATE),
        ("narrow", *[bursts(15)[::2].copy()] * 2, np.nan, RATE // 2),
    ]
    corpus(folder, given)
    sterilise(folder, folder / "vocals", folder / "parts", STERILISE, 0)
    return folder


@pytest.fixture(scope="module")
def segments(voices):
    return load_segments(voices / "vocals")


@pytest.fixture(scope="module")
def known(voices, segments):
    return known_recordings(voices, segments, SETTINGS.noisy_below_db, RATE, 1.0)


def judged(table):
    systems, over = summarise(table, SETTINGS, 0)
    heard = hearing(over, SETTINGS.noise_db)
    return systems, over, heard, outside_gates(over, heard, SETTINGS.thresholds)


def verdicts(gates):
    return [gates[name]["verdict"] for name in ("dnsmos_sterilised_over_original", "dnsmos_clean_kept")]


def test_what_was_added_decides_which_are_noisy_and_else_the_estimate(known):
    kinds = known.set_index("speaker_id")
    assert len(known) == 15 and "v-hardly" not in kinds.index
    assert kinds.loc["v-unknown", "kind"] == NOISY and kinds.loc["v-silent", "kind"] == CLEAN
    assert kinds["kind"].value_counts().to_dict() == {NOISY: 9, CLEAN: 6}
    assert set(kinds.index[~kinds["heard"]]) == {"v-short", "v-narrow"}


def test_every_speaker_has_a_turn_before_any_has_two(known):
    chosen = choose(known, SETTINGS)
    assert chosen["kind"].tolist() == [NOISY] * 4 + [CLEAN] * 3 and chosen["heard"].all()
    assert (chosen.groupby("kind")["speaker_id"].nunique() == [3, 4]).all()
    again = choose(known.sample(frac=1, random_state=1), SETTINGS.model_copy(update={"n_noisy": 99, "n_clean": 99}))
    assert len(again) == 13 and again["utt_id"].is_unique
    assert again[again["kind"] == NOISY]["speaker_id"].iloc[:5].nunique() == 5


def test_every_system_is_the_same_stretch_at_the_same_level(known, segments):
    for recording in choose(known, SETTINGS).itertuples(index=False):
        made = signals_of(recording, segments, SETTINGS)
        assert set(made) == set(SYSTEMS[recording.kind]) - (set() if recording.clean_path else {"truth"})
        assert len(made["original"].wav) > len(made["sterilised"].wav) == 3 * RATE
        rest = {name: signal.wav for name, signal in made.items() if name not in ("original", "with_noise")}
        for name, wav in rest.items():
            cosine = np.vdot(wav, made["sterilised"].wav) / np.linalg.norm(wav) / np.linalg.norm(rest["sterilised"])
            assert len(wav) == 3 * RATE and cosine > 0.8, (name, cosine)
        if recording.kind == CLEAN:
            np.testing.assert_allclose(rest["trimmed"], rest["sterilised"], atol=2e-3)


@pytest.mark.parametrize("rate", [RATE, 3 * RATE])
def test_a_clip_is_found_where_it_lies(rate):
    wav = np.random.default_rng(0).standard_normal(4 * RATE).astype(np.float32)
    clip = np.repeat(wav[20_000:40_000], rate // RATE)
    assert abs(place_of(Signal(clip, rate), Signal(wav, RATE)) - 20_000) <= 2
    assert place_of(Signal(np.pad(wav, (0, 5)), RATE), Signal(wav, RATE)) == 0


def test_sterilised_voices_pass_where_the_judge_hears_their_noise_go(known, segments):
    table = rate_recordings(Planted(), choose(known, SETTINGS), segments, SETTINGS)
    systems, over, heard, gates = judged(table)
    assert list(table) == COLUMNS and not heard["deaf"] and heard["value"] > 1
    assert verdicts(gates) == ["pass", "pass"], gates
    own, controls = systems[NOISY]["dnsmos_overall"], gates["dnsmos_sterilised_over_original"]["control"]
    assert own["truth"].value > own["sterilised"].value > own["trimmed"].value and abs(controls) < 0.1
    assert over[NOISY]["dnsmos_background"]["sterilised_over_trimmed"].n == 4


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"noisy": "original"}, ["fail", "pass"]),
        ({"noisy": "truth"}, ["pass", "pass"]),
        ({"clean": "with_noise"}, ["pass", "fail"]),
    ],
)
def test_doing_nothing_and_spoiling_what_was_clean_fail_their_gates(known, segments, changes, expected):
    table = rate_recordings(Planted(), choose(known, SETTINGS), segments, SETTINGS)
    for kind, system in changes.items():
        own = table["kind"] == kind
        instead = table[own & (table["system"] == system)].assign(system="sterilised")
        table = pd.concat([table[~(own & (table["system"] == "sterilised"))], instead])
    assert verdicts(judged(table)[3]) == expected


def test_a_deaf_judge_and_a_corpus_that_it_cannot_rate_judge_nothing(known, segments):
    table = rate_recordings(Planted(hears=False), choose(known, SETTINGS), segments, SETTINGS)
    *_, heard, gates = judged(table)
    assert heard["deaf"] and all("white noise at 0 dB" in gate["deaf"] for gate in gates.values())
    assert verdicts(gates) == ["undecided"] * 2
    nothing = rate_recordings(Planted(), choose(no_recordings(), SETTINGS), segments, SETTINGS)
    systems, over, heard, gates = judged(nothing)
    assert heard["deaf"] and all("deaf" in gate for gate in gates.values()) and verdicts(gates) == ["undecided"] * 2
    counts = dict.fromkeys((NOISY, CLEAN), {"found": 0, "can_be_rated": 0, "rated": 0})
    found = {"recordings": counts, "judge": heard, "systems": numbers(systems), "over": numbers(over)}
    report = report_markdown(found, gates)
    assert "cannot be judged" in report and "**deaf**" in report


def test_without_noisy_recordings_what_was_clean_is_judged(known, segments):
    only = known[known["kind"] == CLEAN].reset_index(drop=True)
    table = rate_recordings(Planted(), choose(only, SETTINGS), segments, SETTINGS)
    systems, over, heard, gates = judged(table)
    assert verdicts(gates) == ["undecided", "pass"]
    assert "none of this kind" in gates["dnsmos_sterilised_over_original"]["deaf"]
    counts = dict.fromkeys((NOISY, CLEAN), {"found": 3, "can_be_rated": 3, "rated": 3})
    found = {"recordings": counts, "judge": heard, "systems": numbers(systems), "over": numbers(over)}
    assert "| sterilised over original | none | none |" in report_markdown(found, gates)


def test_a_truth_of_another_length_is_named(known, segments, tmp_path):
    recording = next(choose(known, SETTINGS).itertuples(index=False))
    path = tmp_path / "other.flac"
    write_audio(path, bursts(0)[:-100], RATE)
    with pytest.raises(FormatError, match="other.flac"):
        signals_of(recording._replace(clean_path=str(path)), segments, SETTINGS)


def test_what_is_silent_or_not_finite_has_no_rating():
    for wav in (np.zeros(2 * RATE, np.float32), np.full(2 * RATE, np.nan, np.float32)):
        assert np.isnan(list(ratings(Planted(), Signal(wav, RATE)).values())).all()


@pytest.mark.slow
def test_the_ratings_are_those_that_the_judge_gives():
    judge, wav = load_judge("quality"), noisy(bursts(0), 20, 0)
    scores = judge.score([wav], RATE).values
    assert ratings(judge, Signal(wav, RATE)) == {
        name: scores[name][0] for name in ("dnsmos_overall", "dnsmos_background")
    }
