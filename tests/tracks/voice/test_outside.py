"""Gates by outside judges, on planted voices and with planted judges; and a converter made to fool our own judge."""

import numpy as np
import pandas as pd
import pytest
import torch

from soundgate.audio.io import resample
from soundgate.corpora.espeak import SAMPLE_RATE as ESPEAK_RATE
from soundgate.corpora.espeak import Voice, synthesise
from soundgate.judges.pitch import PitchTrack
from soundgate.judges.registry import load_judge
from soundgate.runtime.randomness import keyed_generator
from soundgate.tracks.voice.audit.hearing import Hearing, Listeners
from soundgate.tracks.voice.audit.pairs import UNSEEN, draw_evaluation
from soundgate.tracks.voice.audit.settings import EvaluationSettings
from soundgate.tracks.voice.audit.systems import CONVERTED, System, controls
from soundgate.tracks.voice.baselines.methods import BASELINES
from soundgate.tracks.voice.cache import COLUMNS, VoiceCache, write_cache
from soundgate.tracks.voice.features import track_f0
from soundgate.tracks.voice.judge.encoder import EndToEnd, JudgeEncoder
from soundgate.tracks.voice.judge.settings import EncoderSettings
from soundgate.tracks.voice.outside.listening import OutsideJudges, OutsideListening, words_kept
from soundgate.tracks.voice.outside.methods import best_method, differences
from soundgate.tracks.voice.outside.report import report_markdown
from soundgate.tracks.voice.outside.settings import OutsideSettings, OutsideThresholds
from soundgate.tracks.voice.outside.summary import outside_gates, summarise
from soundgate.tracks.voice.outside.trying import answers, ask_trials
from soundgate.tracks.voice.speaking import reference_of, spoken

from .planted_voices import FEATURES, RATE, FormantJudge, ToneUnits, say, write_planted_cache
from .tiny_converter import tiny_converter

DURATION_S = 2.0
SPEAKERS = ("ann", "bob", "cat", "dan", "eve")
EVALUATION = EvaluationSettings(
    seed=0, n_content=2, n_enrolment=2, n_pairs=20, n_seen_pairs=0, duration_s=DURATION_S
)  # fmt: skip
THRESHOLDS = OutsideThresholds(
    closer_to_target=0.501, margin=0.02, over_baseline=0.001, dnsmos_gain=0.1, dnsmos_loss=0.5, f0_correlation=0.7
)  # fmt: skip
SETTINGS = OutsideSettings(
    evaluation=EVALUATION, n_word_pairs=20, noise_db=0, repeat_db=20, thresholds=THRESHOLDS, n_bootstrap=300
)
EVERY = {
    "resemblyzer_closer_to_target", "resemblyzer_follows_target", "resemblyzer_over_pitch_shift",
    "dnsmos_over_random", "dnsmos_over_source", "crepe_f0_correlation", "words_over_shuffled",
    "over_best_baseline_similarity", "over_best_baseline_words", "over_best_baseline_quality",
}  # fmt: skip
JUDGE_OF = {
    "over_best_baseline_similarity": "resemblyzer", "over_best_baseline_words": "words",
    "over_best_baseline_quality": "dnsmos",
}  # fmt: skip


class Planted:
    """A judge that hears what was planted; its twin hears nothing."""

    min_rate = 8_000

    def __init__(self, hears=True):
        self.hears = hears

    def twin(self, seed):
        return type(self)(hears=False)


class Voices(Planted):
    def embed(self, wav, rate):
        if not self.hears:
            return np.stack([np.ones(3) for _ in wav])
        with torch.no_grad():
            return FormantJudge()(torch.from_numpy(np.stack(wav))).numpy()


class Quality(Planted):
    def overall(self, wav, rate):
        """Between the planted bands there is nothing but noise, or what untrained weights make."""
        spectra = [np.abs(np.fft.rfft(one)) ** 2 for one in wav]
        high = [np.fft.rfftfreq(len(one), 1 / rate) > 7_000 for one in wav]
        shares = [own[band].mean() / own.mean() for own, band in zip(spectra, high, strict=True)]
        return np.array([1 + 4 * np.exp(-20 * share) if self.hears else 3.0 for share in shares])


class Pitch(Planted):
    def track(self, wav, rate):
        return [self._track(one, rate) for one in wav]

    def _track(self, wav, rate):
        times = np.arange(1 + len(wav) * 100 // rate) * rate // 100 // FEATURES.hop_length
        hz = track_f0(wav, FEATURES)[times]
        if not self.hears:
            hz = 100 + keyed_generator(0, "pitch", str(wav[:100].sum())).random(len(hz))
        return PitchTrack(hz, np.ones(len(hz)), hz > 0)


class Words(Planted):
    def transcripts(self, wav, rate):
        return [self._heard(one) for one in wav] if self.hears else ["a b c"] * len(wav)

    def _heard(self, wav):
        units = ToneUnits()(torch.from_numpy(wav)[None])[0].argmax(dim=-1).numpy()
        steps = units[::6]
        return " ".join(f"tone{unit}" for unit in steps)


JUDGES = OutsideJudges(Voices(), Quality(), Pitch(), Words())


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return write_planted_cache(tmp_path_factory.mktemp("cache"), seen=(), unseen=SPEAKERS)


@pytest.fixture(scope="module")
def evaluation(cache):
    return draw_evaluation(cache, UNSEEN, EVALUATION.n_pairs, EVALUATION)


@pytest.fixture(scope="module")
def others(cache, evaluation):
    return with_stand_ins(controls(tiny_converter(), cache, evaluation.roles, DURATION_S))


def with_stand_ins(made):
    """Methods that move the pitch alone stand for those without training, which take seconds."""
    return made | dict.fromkeys(BASELINES, made["pitch_shift"])


def system(make):
    return System(make, lambda pair: (pair.row, pair.target))


def honest(cache):
    """The source's words and melody in the target's voice."""
    return lambda pair: say(cache.table["utterance"].iloc[pair.row], pair.target, int(DURATION_S * RATE))[0]


def judged(cache, evaluation, others, make, judges=JUDGES):
    listening = OutsideListening(judges, cache, evaluation, SETTINGS)
    tried = answers(ask_trials(listening, evaluation), SETTINGS, 0)
    table = listening.table({CONVERTED: system(make)} | others)
    systems, over = summarise(table, 0, SETTINGS.n_bootstrap)
    compared = differences(table, 0, SETTINGS.n_bootstrap)
    return tried, systems, compared, outside_gates(systems, over, compared, tried, THRESHOLDS)


def verdicts(gates):
    return {name: gate["verdict"] for name, gate in gates.items()}


def test_an_honest_converter_passes_every_gate(cache, evaluation, others):
    tried, _, _, gates = judged(cache, evaluation, others, honest(cache))
    assert not any(own["deaf"] for own in tried.values()), tried
    assert verdicts(gates) == dict.fromkeys(EVERY, "pass"), gates


def test_doing_nothing_playing_the_target_back_and_noise_each_fail_their_gates(cache, evaluation, others):
    def identity(pair):
        return spoken(cache, pair.row, DURATION_S).wav

    def playback(pair):
        return spoken(cache, pair.target_row, DURATION_S).wav

    def buried(pair):
        noise = keyed_generator(0, "buried", str(pair.row)).standard_normal(int(DURATION_S * RATE))
        return (identity(pair) + 0.2 * noise).astype(np.float32)

    found = {name: verdicts(judged(cache, evaluation, others, make)[3]) for name, make in
             {"identity": identity, "playback": playback, "buried": buried}.items()}  # fmt: skip
    assert found["identity"]["resemblyzer_closer_to_target"] == "fail"
    assert found["playback"]["words_over_shuffled"] != "pass"
    assert found["playback"]["resemblyzer_closer_to_target"] == "pass"
    assert found["buried"]["dnsmos_over_source"] == "fail"


@pytest.mark.parametrize(
    ("place", "name"), [(0, "resemblyzer"), (1, "dnsmos"), (2, "crepe"), (3, "words")]
)  # fmt: skip
def test_gates_of_a_judge_that_hears_nothing_cannot_be_judged(cache, evaluation, others, place, name):
    judges = list(JUDGES)
    judges[place] = judges[place].twin(0)
    tried, _, _, gates = judged(cache, evaluation, others, honest(cache), OutsideJudges(*judges))
    assert [key for key, own in tried.items() if own["deaf"]] == [name]
    for gate, own in gates.items():
        is_deaf = JUDGE_OF.get(gate, gate.partition("_")[0]) == name
        assert ("deaf" in own) == is_deaf and own["verdict"] == ("undecided" if is_deaf else "pass")


def test_a_corpus_without_the_band_is_not_judged(cache, evaluation, others, monkeypatch):
    monkeypatch.setattr(Words, "min_rate", RATE + 1)
    tried, _, _, gates = judged(cache, evaluation, others, honest(cache))
    assert tried["words"]["deaf"] and tried["words"]["value"] is None
    assert gates["words_over_shuffled"]["verdict"] == "undecided" and "deaf" in gates["words_over_shuffled"]


def test_words_kept():
    assert words_kept("pens are in ink", "pens are in tins") == 0.75
    assert words_kept("pens", "ink in tins") == 0.0
    assert np.isnan(words_kept("", "pens")) and np.isnan(words_kept("pens", None))


def fooling(cache, evaluation, judge):
    """A converter trained against a judge alone: it disturbs the source until the embedding is the target's."""
    references = {
        speaker: torch.from_numpy(reference_of(judge, cache, roles.reference)).float()
        for speaker, roles in evaluation.roles.items()
    }
    sources = torch.from_numpy(np.stack([spoken(cache, pair.row, DURATION_S).wav for pair in evaluation.pairs]))
    wished = torch.stack([references[pair.target] - references[pair.source] for pair in evaluation.pairs])
    disturbance = torch.zeros_like(sources).requires_grad_()
    optimiser = torch.optim.Adam([disturbance], lr=1e-3)
    for _ in range(50):
        optimiser.zero_grad()
        (-(judge(sources + disturbance) * wished).sum()).backward()
        optimiser.step()
    made = dict(zip(evaluation.pairs, (sources + disturbance).detach().numpy(), strict=True))
    return made.__getitem__


@pytest.fixture(scope="module")
def real_words(tmp_path_factory):
    """Voices of a synthesiser, as an outside judge of speakers can tell them apart."""
    rows, samples, f0 = [], [], []
    voices = ("en-us+m1", "en-us+f2", "en-gb-scotland+Annie", "en-us+m7", "en-029+klatt2")
    for speaker, voice in zip(SPEAKERS, voices, strict=True):
        for number in range(6):
            text = f"Early that morning the captain found {number} yellow lanterns near the river, {speaker}."
            said = synthesise(
                text, Voice(voice=voice, pitch=40 + 5 * number, pitch_range=50, rate_wpm=150), seed=number
            )
            wav = resample(said[None], ESPEAK_RATE, RATE)[0][: int(DURATION_S * RATE)]
            frames = track_f0(wav, FEATURES)
            logs = np.log(frames[frames > 0])
            samples.append(np.rint(wav.clip(-1, 1) * (2**15 - 1)).astype(np.int16))
            f0.append(frames)
            name = f"{speaker}-{number}"
            rows.append((name, speaker, "test", f"{name}.wav", len(wav), logs.mean(), logs.std()))
    folder = tmp_path_factory.mktemp("words")
    write_cache(folder, FEATURES, pd.DataFrame(rows, columns=COLUMNS), samples, f0)
    return VoiceCache.open(folder)


def trained_judge(cache):
    """A judge of our own kind that knows these speakers."""
    torch.manual_seed(0)
    settings = EncoderSettings(n_cepstra=24, f_max_hz=7_000.0, width=32, dim=16)
    judge, loss = JudgeEncoder(settings, FEATURES), EndToEnd()
    wavs = torch.from_numpy(np.stack([spoken(cache, row, DURATION_S).wav for row in range(len(cache.table))]))
    optimiser = torch.optim.Adam([*judge.parameters(), *loss.parameters()], lr=3e-3)
    for _ in range(40):
        optimiser.zero_grad()
        value, _ = loss(judge(wavs).reshape(len(SPEAKERS), -1, settings.dim))
        value.backward()
        optimiser.step()
    return judge.eval()


@pytest.mark.slow
def test_a_converter_that_fools_our_judge_does_not_fool_the_outside_one(real_words):
    evaluation = draw_evaluation(real_words, UNSEEN, EVALUATION.n_pairs, EVALUATION)
    judge = trained_judge(real_words)
    make = fooling(real_words, evaluation, judge)
    hearing = Hearing(Listeners(judge, judge, ToneUnits()), real_words, evaluation, DURATION_S)
    own = hearing.table(CONVERTED, system(make))
    assert (own["similarity_gap"] > 0).mean() > 0.9, "our judge is not fooled"
    others = with_stand_ins(controls(tiny_converter(), real_words, evaluation.roles, DURATION_S))
    judges = JUDGES._replace(speaker=load_judge("speaker"))
    tried, _, _, gates = judged(real_words, evaluation, others, make, judges)
    assert not tried["resemblyzer"]["deaf"], tried["resemblyzer"]
    assert gates["resemblyzer_closer_to_target"]["verdict"] == "fail", gates["resemblyzer_closer_to_target"]


def test_the_report_says_where_judges_disagree_and_which_are_deaf(cache, evaluation, others):
    judges = JUDGES._replace(words=Words(hears=False))
    tried, systems, compared, gates = judged(cache, evaluation, others, honest(cache), judges)
    found = {
        "judges": tried,
        "systems": {name: {m: e.as_dict() for m, e in own.items()} for name, own in systems.items()},
        "over_baselines": {name: {m: e.as_dict() for m, e in compared[CONVERTED, name].items()} for name in BASELINES},
        "best_method": best_method(systems, compared, tried),
    }
    estimate = {"value": 0.1, "ci_low": 0.0, "ci_high": 0.2, "n": 5}
    ours = dict.fromkeys(("closer", "follows", "f0_correlation", "content_margin"), estimate)
    report = report_markdown(found, gates, {"systems": {UNSEEN: {CONVERTED: ours}}})
    assert "**they disagree**" in report and "cannot be judged" in report and "| deaf |" in report
    assert "`soundgate convert --method auto` takes `gan`" in report and "deaf on this corpus: words kept" in report
    assert f"| {systems[CONVERTED]['resemblyzer_to_target'].value:.3f} " in report
