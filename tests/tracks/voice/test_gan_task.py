import numpy as np
import pytest
import torch

from soundgate.audio.io import read_audio
from soundgate.networks.film import Film
from soundgate.runtime.errors import CorpusError, TrainingError
from soundgate.tracks.voice.gan.batches import pick
from soundgate.tracks.voice.gan.probing import heard_rows, other_speakers
from soundgate.tracks.voice.gan.samples import write_samples
from soundgate.tracks.voice.gan.train import train_converter
from soundgate.training.finite import NonFiniteBatch
from tests.tracks.voice.planted_gan import (
    CPU,
    RATE,
    new_task,
    only,
    settings,
    speaker_encoder,
    take_steps,
    write_voices,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return write_voices(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def baseline(cache):
    return take_steps(new_task(cache), 2)


def weights_of(task):
    modules = {name: module.state_dict() for name, module in task.modules.items()}
    return {f"{name}.{key}": value.clone() for name, state in modules.items() for key, value in state.items()}


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


# Every flag that changes a loss, and the losses of the first step that it changes; those of the second follow.
FLAGS = {
    "contrastive__kind": ("margin", {"contrastive", "loss"}),
    "contrastive__temperature": (0.5, {"contrastive", "loss"}),
    "contrastive__n_negatives": (1, {"contrastive", "loss"}),
    "contrastive__share": (0.5, {"contrastive", "loss"}),
    "adversarial": ("lsgan", {"adversarial", "discriminator", "loss"}),
    "segment_s": (0.6, {"mel", "stft", "adversarial", "feature_matching", "contrastive", "loss"}),
    "judged_s": (0.4, {"adversarial", "feature_matching", "discriminator", "loss"}),
    "width": (1 / 8, {"adversarial", "feature_matching", "discriminator", "loss"}),
    "loop__batch_size": (8, {"mel", "stft", "adversarial", "feature_matching", "contrastive", "loss"}),
    "utterances_per_speaker": (1, {"mel", "stft", "contrastive", "loss"}),
    "network__content__warp": (0.0, {"mel", "stft", "loss"}),
}  # fmt: skip


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_changes_its_losses(cache, baseline, flag):
    value, changed = FLAGS[flag]
    losses = take_steps(new_task(cache, **{flag: value}))[0]
    differs = {name for name in baseline[0] if losses[name] != pytest.approx(baseline[0][name], rel=1e-6)}
    assert differs >= changed
    if flag.startswith("contrastive") or flag == "adversarial":
        assert differs == changed, "and no other"


@pytest.mark.parametrize("name", ["mel", "stft", "adversarial", "feature_matching", "contrastive"])
def test_a_weight_is_a_factor_and_0_computes_nothing(cache, baseline, name):
    weight = getattr(settings().weights, name)
    doubled = take_steps(new_task(cache, **{f"weights__{name}": 2 * weight}))
    first = baseline[0]
    assert doubled[0]["loss"] == pytest.approx(first["loss"] + weight * first[name], rel=1e-4)
    without = take_steps(new_task(cache, **{f"weights__{name}": 0.0}))[0]
    assert name not in without
    assert without["loss"] == pytest.approx(first["loss"] - weight * first[name], rel=1e-4)


def test_without_both_of_its_losses_no_discriminator_learns(cache):
    task = new_task(cache, weights__adversarial=0.0, weights__feature_matching=0.0)
    before = {name: value.clone() for name, value in task.critics.mpd.state_dict().items()}
    assert "discriminator" not in take_steps(task)[0]
    assert same(before, task.critics.mpd.state_dict())


def test_discriminators_come_in_at_their_step(cache):
    task = new_task(cache, gan_start=0.25, **only("mel", "adversarial"))
    has = ["discriminator" in losses and "adversarial" in losses for losses in take_steps(task, 4)]
    assert has == [False, False, True, True]


def test_the_margin_and_hard_negatives_and_bands_change_the_loss(cache):
    def contrastive_losses(**changes):
        task = new_task(cache, **{"contrastive__n_negatives": 2} | only("contrastive") | changes)
        return [losses["contrastive"] for losses in take_steps(task, 3)]

    baseline = contrastive_losses()
    assert contrastive_losses(contrastive__hard_negatives=False) != baseline
    assert contrastive_losses(contrastive__memory=2)[1:] != baseline[1:]
    margins = [contrastive_losses(contrastive__kind="margin", contrastive__margin=margin) for margin in (0.1, 0.5)]
    assert margins[0][0] < margins[1][0]
    nearest = contrastive_losses(contrastive__hard=0.31, contrastive__medium=0.305)
    assert nearest != baseline


def test_easy_and_medium_bounds_decide_who_comes_first(cache):
    task = new_task(cache)
    with torch.no_grad():
        known = task.listener(task.heard.wav)
    similarity = (known @ known.T)[~torch.eye(4, dtype=torch.bool)].sort().values.tolist()
    low, high = similarity[0] - 0.01, similarity[-1] + 0.01
    assert -1 < low < high < 1

    def losses(easy, medium):
        bounds = {"contrastive__easy": easy, "contrastive__medium": medium, "contrastive__n_negatives": 1}
        return [step["contrastive"] for step in take_steps(new_task(cache, **only("contrastive"), **bounds), 4)]

    inside = float(np.median(similarity))
    one_band = losses(-0.999, low)
    assert losses(inside, high) != one_band and losses(low, inside) != one_band


def test_r1_is_added_at_its_steps_and_makes_discriminators_learn_otherwise(cache):
    kept = only("adversarial")
    plain, with_r1 = new_task(cache, **kept), new_task(cache, **kept, r1_gamma=100.0, r1_every=2)
    take_steps(plain)
    losses = take_steps(with_r1)
    assert losses[0]["r1"] > 0
    assert not same(plain.critics.mpd.state_dict(), with_r1.critics.mpd.state_dict())
    assert "r1" not in take_steps(with_r1, first=1)[0]


def test_a_trainable_speaker_encoder_learns_and_the_contrastive_loss_keeps_its_own(cache):
    kept = only("mel", "contrastive")
    frozen, trained = new_task(cache, **kept), new_task(cache, **kept, speaker_trainable=True)
    before = speaker_encoder().state_dict()
    # At first no block heeds the voice: the encoder learns from the second step on.
    first, second = (take_steps(task, 3) for task in (frozen, trained))
    assert first[0] == pytest.approx(second[0], rel=1e-4)
    assert first[2]["mel"] != second[2]["mel"]
    assert same(before, frozen.converter.speaker.state_dict())
    assert not same(before, trained.converter.speaker.state_dict())
    assert same(before, trained.listener.encoder.state_dict())


@pytest.mark.parametrize(
    "changes",
    [{"learning_rate": 1e-4}, {"clip": 1e-3}, {"weight_decay": 5.0}, {"betas": (0.9, 0.99)}, {"warm_up": 4}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_flag_of_the_optimiser_changes_what_is_learnt(cache, changes):
    losses, usual = (take_steps(new_task(cache, **only("mel"), **kept), 3) for kept in (changes, {}))
    assert losses[0] == pytest.approx(usual[0], rel=1e-5)
    assert losses[2]["mel"] != usual[2]["mel"]


def test_the_rate_falls_to_its_final_share_and_discriminators_have_their_own(cache):
    task = new_task(cache, final_rate=0.5, critic_rate=0.25, **only("mel"))
    take_steps(task, 1, first=8)
    rates = {name: optimiser.param_groups[0]["lr"] for name, optimiser in task.optimisers.items()}
    assert rates == pytest.approx({"generator": 5e-4, "discriminators": 1.25e-4})


def test_accumulated_parts_of_a_batch_give_the_same_step(cache, baseline):
    losses = take_steps(new_task(cache, accumulation=2), 2)
    for here, there in zip(losses, baseline, strict=True):
        assert here == pytest.approx(there, rel=2e-3, abs=1e-5)


def test_half_precision_is_near_full_precision_and_is_not_it(cache, baseline):
    losses = take_steps(new_task(cache, precision="bf16"))[0]
    assert losses == pytest.approx(baseline[0], rel=0.1, abs=0.05) and losses["mel"] != baseline[0]["mel"]


def test_compile_compiles_the_decoder(cache, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(module))
    assert new_task(cache, compile=True).converter.decoder is compiled[0]
    assert len(compiled) == 1


@pytest.mark.parametrize("broken", ["wav", "noise"])
def test_a_batch_that_is_not_finite_changes_nothing(cache, monkeypatch, broken):
    task = new_task(cache)
    take_steps(task, 1)
    before, state = weights_of(task), str(task.optimisers["generator"].state_dict())
    draw = task.batches.draw

    def spoilt(items):
        batch = draw(items)
        values = batch.utterances.wav if broken == "wav" else batch.converting.noise
        values[0, 100] = torch.nan
        return batch

    monkeypatch.setattr(task.batches, "draw", spoilt)
    with pytest.raises(NonFiniteBatch):
        take_steps(task, 1, first=1)
    assert same(before, weights_of(task)) and state == str(task.optimisers["generator"].state_dict())
    monkeypatch.setattr(task.batches, "draw", draw)
    take_steps(task, 1, first=1)
    assert not same(before, weights_of(task))


def test_too_little_memory_names_what_to_lower(cache, monkeypatch):
    task = new_task(cache)
    for error in (torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: not enough memory")):

        def fails(*_, error=error, **__):
            raise error

        monkeypatch.setattr(task, "_backward", fails)
        with pytest.raises(TrainingError, match=r"voice\.train\.loop\.batch_size or voice\.train\.segment_s"):
            take_steps(task)


def test_a_probe_draws_nothing_and_changes_nothing(cache):
    task = new_task(cache)
    take_steps(task)
    before, state = weights_of(task), torch.get_rng_state()
    assert task.probe() == task.probe()
    assert torch.equal(torch.get_rng_state(), state) and same(before, weights_of(task))


def test_a_probe_tells_a_voice_that_is_not_heeded_and_outputs_that_are_all_one(cache):
    task = new_task(cache)
    untrained = task.probe()
    assert untrained["swap_change"] == untrained["film_gamma"] == untrained["film_beta"] == 0
    films = [module for module in task.converter.modules() if isinstance(module, Film)]
    for film in films:
        torch.nn.init.normal_(film.linear.weight, std=0.3)
    steered = task.probe()
    assert steered["swap_change"] > 0.01 and steered["film_gamma"] > 0.01 and steered["film_beta"] > 0.01
    forward = task.converter.forward
    task.converter.forward = lambda utterances, voices, draws=None: forward(utterances, voices)[:1].expand(4, -1)
    assert task.probe()["pairwise_ratio"] < 1e-6 < steered["pairwise_ratio"]


def test_a_perfect_copy_has_no_distance_and_the_ratio_of_real_sound(cache):
    task = new_task(cache)
    task.converter.forward = lambda utterances, voices, draws=None: utterances.wav
    figures = task.probe()
    assert figures["mel_db"] == 0 and figures["pairwise_ratio"] == pytest.approx(1)
    assert figures["source_similarity"] == pytest.approx(1, abs=1e-5)
    assert figures["speaker_similarity"] < 0.999
    assert figures["real_score"] == figures["fake_score"]


def test_other_speakers_are_others():
    assert other_speakers(torch.tensor([3, 3, 1, 2])).tolist() == [2, 2, 3, 0]
    assert other_speakers(torch.tensor([5, 5])).tolist() == [0, 1]


def test_every_speaker_is_heard_before_one_is_heard_twice(cache):
    rows = heard_rows(cache, 3)
    assert len(set(cache.speaker_codes[rows])) == 3 and set(cache.table["split"][rows]) == {"validation"}


def test_a_crop_is_rebuilt_in_the_voice_of_another_of_its_speaker_and_converted_to_another_speakers(cache):
    task = new_task(cache, loop__batch_size=8)
    torch.manual_seed(0)
    batch = task.batches.draw(np.array([0, 3, 6, 9]))
    speaker = batch.utterances.speaker
    assert torch.equal(speaker[batch.sibling], speaker) and (batch.sibling != torch.arange(8)).all()
    assert batch.converted.tolist() == list(range(8)) and (speaker[batch.target] != speaker).all()
    half = new_task(cache, loop__batch_size=8, contrastive__share=0.5).batches.draw(np.array([0, 3, 6, 9]))
    assert len(half.converted) == half.n_converted[-1] == 4
    for size in range(9):
        assert half.n_converted[size] == (half.converted < size).sum()


@torch.no_grad()
def test_phases_computed_beforehand_are_those_that_a_conversion_would_compute(cache):
    task = new_task(cache, loop__batch_size=8)
    batch = task.batches.draw(np.array([0, 3, 6, 9]))
    voices = task.converter.voices(batch.utterances)
    for places, draws in ((batch.sibling, batch.rebuilding), (batch.target, batch.converting)):
        made, again = (
            task.converter(batch.utterances, pick(voices, places), own) for own in (draws, draws._replace(phases=None))
        )
        assert draws.phases.any() and torch.equal(made, again)


def test_a_speaker_is_once_in_a_batch_while_there_are_others(cache):
    batches = new_task(cache, loop__batch_size=8).batches
    codes, generator = cache.speaker_codes[batches.rows], np.random.default_rng(0)
    for _ in range(20):
        items = generator.integers(0, len(batches.rows), 4)
        speaker = batches.draw(items).utterances.speaker[::2]
        assert len(set(speaker.tolist())) == 4
        # Who comes first stays where they are.
        firsts = np.unique(codes[items], return_index=True)[1]
        np.testing.assert_array_equal(speaker[firsts], codes[items][firsts])
    assert len(set(batches.draw(np.zeros(6, int)).utterances.speaker.tolist())) == 4
    alone = batches.of_speaker
    batches.of_speaker = {codes[0]: alone[codes[0]]}
    assert not len(batches.draw(np.zeros(4, int)).converted)


def test_a_short_training_rebuilds_better_than_before_it(cache):
    task = new_task(cache, learning_rate=1e-2, **only("mel"))
    task.n_steps = 40
    before = task.probe()["mel_db"]
    take_steps(task, 40)
    assert task.probe()["mel_db"] < 0.8 * before


def test_samples_are_written_where_they_are_asked_for(cache, tmp_path):
    task = new_task(cache)
    write_samples(task.converter, cache, task.rows, tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["converted_to_bob.flac", "original.flac", "reconstruction.flac"]
    audio = read_audio(tmp_path / "converted_to_bob.flac")
    assert audio.sample_rate == RATE and np.abs(audio.wav).max() > 1e-3
    task.samples = tmp_path / "epochs"
    take_steps(task)
    task.evaluate()
    assert not task.samples.exists()
    task = new_task(cache, sample_interval=2)
    task.samples = tmp_path / "epochs"
    for step in range(8):
        task.n_taken = step + 1
        if (step + 1) % 4 == 0:
            task.evaluate()
    assert [path.name for path in task.samples.iterdir()] == ["epoch_0002"]


def test_a_whole_training_gives_a_row_for_each_epoch(cache, tmp_path):
    options = settings(loop__epochs=2, loop__steps_per_epoch=2)
    _, history = train_converter(cache, speaker_encoder(), options, 0, CPU, tmp_path / "checkpoint.pt")
    assert [row["step"] for row in history] == [2, 4]
    assert {"mel", "contrastive", "validation_mel_db", "validation_speaker_similarity"} <= set(history[-1])


def test_nothing_to_train_on_is_an_error(cache, tmp_path):
    empty = type(cache)(cache.settings, cache.table[cache.table["split"] == "test"], cache.samples, cache.f0_frames)
    with pytest.raises(CorpusError, match="voice-train"):
        train_converter(empty, speaker_encoder(), settings(), 0, CPU, tmp_path / "checkpoint.pt")


def test_a_batch_that_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match="multiple of utterances_per_speaker times accumulation"):
        settings(loop__batch_size=6, accumulation=2)
    with pytest.raises(ValueError, match="easy, medium and hard must rise"):
        settings(contrastive__easy=0.7)
