"""What judges say where the truth is known."""

import numpy as np
import pytest
import torch

from soundgate.corpora.espeak import SAMPLE_RATE
from soundgate.judges.notes import FRAME_S, LOWEST_MIDI, note_events, note_overlap
from soundgate.judges.packaged import Packaged
from soundgate.judges.speaker import cosine
from soundgate.judges.trial.generated import CHORD_RATE, TONE_RATE, chord, tone
from soundgate.judges.trial.recorded import equal_error
from soundgate.judges.words import word_error
from soundgate.runtime.errors import WeightsError


@pytest.fixture
def noisy(speech):
    noise = np.random.default_rng(1).standard_normal(len(speech)) * np.sqrt(np.mean(speech**2))
    return (speech + noise).astype(np.float32)


@pytest.mark.parametrize("hz", [110, 220, 330])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_the_pitch_of_a_tone_is_right_to_a_fiftieth_of_an_octave(named, hz, rate):
    time = np.arange(rate) / rate
    wav = sum(np.sin(2 * np.pi * hz * order * time) / order for order in range(1, 6))
    scores = named("pitch").score((0.2 * wav).astype(np.float32)[None], rate)
    assert scores.values["pitch_hz"][0] == pytest.approx(hz, rel=0.014)
    assert scores.values["voiced_share"][0] > 0.95


def test_a_glide_is_followed(named):
    wav, hz = tone(1)
    track = named("pitch").track(wav[None], TONE_RATE)[0]
    at = np.arange(10, 90)
    assert np.abs(1200 * np.log2(track.hz[at] / hz[at * 160])).max() < 50
    assert abs(np.log2(hz[-1] / hz[0])) > 0.1


def test_noise_has_no_pitch_and_says_so(named):
    noise = np.random.default_rng(2).standard_normal((1, 16_000)).astype(np.float32)
    scores = named("pitch").score(noise, 16_000)
    assert np.isnan(scores.values["pitch_hz"][0]) and scores.notes[0] == "no voiced frame: no pitch"


@pytest.mark.slow
def test_identity_is_the_best_and_noise_is_worse(named, speech, noisy):
    pair = np.stack([speech, noisy])
    for name in ("similarity", "pitch", "notes", "speaker"):
        scores = named(name).compare(np.stack([speech, speech]), pair, SAMPLE_RATE).values
        best = {"pitch_error_cents": 0, "visqol_audio": 4.732, "visqol_speech": 5}
        for figure in named(name).pair_figures:
            same, degraded = scores[figure.name]
            assert same == pytest.approx(best.get(figure.name, 1), abs=0.001), figure.name
            assert degraded > same if figure.better == "lower" else degraded < same, figure.name


def test_a_rating_from_the_bands_is_that_of_a_comparison(named, speech, noisy):
    judge = named("similarity")
    given = np.stack([speech, speech]), np.stack([noisy, np.zeros_like(speech)])
    bands, scores = judge.bands(*given, SAMPLE_RATE), judge.compare(*given, SAMPLE_RATE).values
    assert bands.shape == (2, 32) and bands[0].mean() == scores["nsim"][0]
    np.testing.assert_array_equal([judge.rating(one) for one in bands], scores["visqol_audio"])
    with pytest.raises(ValueError, match="at least 1 s"):
        judge.bands(speech[None, :100], speech[None, :100], SAMPLE_RATE)
    with pytest.raises(ValueError):
        judge.bands(given[0], given[1][:1], SAMPLE_RATE)


def test_what_is_heard_once_is_rated_as_a_comparison(named, speech, noisy):
    judge, given = named("similarity"), (np.stack([speech, speech]), np.stack([noisy, speech]))
    heard = judge.hear(*given, SAMPLE_RATE)
    for own in (judge, judge.twin(3)):
        rated, compared = own.rated(heard), own.compare(*given, SAMPLE_RATE)
        assert rated.notes == compared.notes
        for name, values in compared.values.items():
            np.testing.assert_array_equal(rated.values[name], values)


def test_noise_sounds_worse_to_the_ratings_of_noise(named, speech, noisy):
    scores = named("quality").score(np.stack([speech, noisy]), SAMPLE_RATE).values
    # Of the voice beside the noise, and of lost packets, the others judge.
    for name in ("dnsmos_overall", "dnsmos_background", "personal_dnsmos_overall", "dnsmos_p808"):
        clean, bad = scores[name]
        assert clean > bad + 0.3, name


def test_the_overall_rating_alone_is_that_among_all(named, speech, noisy):
    judge, both = named("quality"), np.stack([speech, noisy * 3, np.zeros_like(speech)])
    np.testing.assert_array_equal(
        judge.overall(both, SAMPLE_RATE), judge.score(both, SAMPLE_RATE).values["dnsmos_overall"]
    )


def test_clipped_samples_are_counted(named, speech):
    loud = speech / np.abs(speech).max() * 1.5
    assert "samples beyond full scale were clipped" in named("quality").score(loud[None], SAMPLE_RATE).notes[0]


def test_embeddings_are_unit_vectors_and_silence_is_zero(named, speech):
    vectors = named("speaker").embed([speech, np.zeros(30_000, np.float32)], SAMPLE_RATE)
    assert vectors.shape == (2, 256) and vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0], abs=1e-6)
    assert cosine(vectors[0], vectors[1]) == 0


def test_a_voice_is_more_like_itself_than_like_another(named, speak):
    texts = "four hours of steady work faced us", "rice is often served in round bowls"
    low = [speak(text, "en-us+m3", 20) for text in texts]
    high = [speak(text, "en-us+f3", 80) for text in texts]
    low, high = (named("speaker").embed(voice, SAMPLE_RATE) for voice in (low, high))
    assert min(cosine(*low), cosine(*high)) > max(cosine(low[0], high[1]), cosine(low[1], high[0]))


@pytest.mark.parametrize("number", range(4))
def test_the_notes_of_a_chord_are_found(named, number):
    wav, keys = chord(number)
    found = named("notes").activations(wav[None], CHORD_RATE)[0]
    sounding = found.sounding[5:-5] >= 0.3
    assert note_overlap(np.tile(keys, (len(sounding), 1)), sounding)["note_f1"] > 0.6
    events = note_events(found)
    strongest = sorted(events, key=lambda note: -note.strength)[:2]
    assert {note.midi for note in strongest} <= set(LOWEST_MIDI + np.flatnonzero(keys))
    assert all(0 <= note.start_s < note.end_s <= len(found.onset) * FRAME_S for note in events)


def test_notes_lie_on_one_grid_across_windows(named):
    time = np.arange(6 * CHORD_RATE) / CHORD_RATE
    wav = (0.3 * np.sin(2 * np.pi * 440 * time) * (time % 1.5 < 1)).astype(np.float32)
    found = named("notes").activations(wav[None], CHORD_RATE)[0]
    assert found.sounding.shape == found.onset.shape == (1 + len(wav) // 256, 88)
    starts = [note.start_s for note in note_events(found) if note.midi == 69]
    assert starts == pytest.approx([0, 1.5, 3, 4.5], abs=0.05)


def test_note_overlap_of_other_notes_is_zero_and_of_half_of_them_is_known():
    reference, half = np.zeros((2, 10, 88), bool)
    reference[:, [40, 44]] = half[:, 40] = True
    assert note_overlap(reference, half) == pytest.approx({"note_f1": 2 / 3, "note_precision": 1, "note_recall": 0.5})
    assert note_overlap(reference, np.roll(reference, 1, axis=1))["note_f1"] == 0


@pytest.mark.parametrize(
    ("heard", "error"), [("a b c d", 0), ("A B C D", 0), ("a x c", 0.5), ("", 1), ("a b c d e f", 0.5)]
)
def test_word_error_counts_edits(heard, error):
    assert word_error("a b c d", heard) == error


@pytest.mark.parametrize("text", [" ", "Hmm, uh.", "(music)"])
def test_word_error_without_a_reference_is_refused(text):
    with pytest.raises(ValueError, match="expected at least one word"):
        word_error(text, "a")


def test_words_are_compared_without_what_is_only_spelling():
    assert word_error("it is twenty dollars, I'm told", "It's $20 -- I am told!") == 0


def test_equal_error_is_where_both_errors_meet():
    scores, same = np.array([0.9, 0.8, 0.4, 0.6, 0.3, 0.2]), np.array([True] * 3 + [False] * 3)
    assert equal_error(scores, same, np.ones(6)) == pytest.approx(1 / 3)
    assert equal_error(scores, scores > 0.5, np.ones(6)) == 0
    assert equal_error(scores, same, np.array([1, 1, 0, 1, 1, 1.0])) == 0
    assert np.isnan(equal_error(scores, same, np.array([1, 1, 1, 0, 0, 0.0])))


def test_shuffled_weights_keep_their_distribution(named):
    twin = named("notes").twin(0)
    assert len(twin.model) == len(named("notes").model) and twin.model != named("notes").model
    assert sorted(twin.model) == sorted(named("notes").model)
    assert twin.model != named("notes").twin(1).model


def test_the_speaker_twin_leaves_the_state_of_random_numbers(named):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    named("speaker").twin(0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (Packaged("no-such-package", "weights.pt", "0" * 64), "expected an installed package; found none"),
        (Packaged("resemblyzer", "resemblyzer/none.pt", "0" * 64), "no such file"),
        (Packaged("resemblyzer", "resemblyzer/hparams.py", "0" * 64), "sha256"),
    ],
)
def test_weights_that_are_missing_or_others_are_refused(file, said):
    with pytest.raises(WeightsError, match=said):
        file.locate()
