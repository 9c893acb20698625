"""The codec path: networks, losses, what each stage asks for."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from soundgate.audio.mel import MelSettings
from soundgate.runtime.errors import CorpusError
from soundgate.tracks.transfer.cache import N_FRAMES, ChunkCache
from soundgate.tracks.transfer.codec.bank import StyleBank
from soundgate.tracks.transfer.codec.critic import WaveCritic
from soundgate.tracks.transfer.codec.latents import LatentCache
from soundgate.tracks.transfer.codec.model import load_translator
from soundgate.tracks.transfer.codec.settings import CodecTransferSettings, TranslatorSettings, WaveCriticSettings
from soundgate.tracks.transfer.codec.sound import sound_of
from soundgate.tracks.transfer.codec.task import CodecTask, Frozen, new_networks
from soundgate.tracks.transfer.codec.train import train_codec
from soundgate.tracks.transfer.codec.translator import Translator
from soundgate.tracks.transfer.content.model import load_content
from soundgate.tracks.transfer.mel.model import load_mel_model
from soundgate.tracks.transfer.run_folder import RunFolder
from soundgate.tracks.transfer.samples.transfers import CodecPath
from soundgate.tracks.transfer.style.targets import StyleTargets
from tests.tracks.transfer.planted_latents import CODEC, write_planted_labs


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    root = write_planted_labs(tmp_path_factory.mktemp("labs"), 5)
    latents = LatentCache.open(root / "latents")
    return Frozen(
        ChunkCache.open(root / "cache"), latents, load_content(root / "content"), StyleTargets.open(root / "style"),
        StyleBank.open(root / "bank"), sound_of(latents, MelSettings()),
        load_mel_model(root / "mel"), torch.device("cpu"),
    )  # fmt: skip


def settings(stage=None, **changes):
    """Return the small settings; of one stage some changed, its weights by their names."""
    values = copy.deepcopy(CODEC)
    for name, value in changes.items():
        own = values[stage] = copy.deepcopy(values[stage])
        (own["weights"] if name in own["weights"] else own)[name] = value
    return CodecTransferSettings.model_validate(values)


def task(frozen, number, **changes):
    own = settings(f"stage{number}", **changes)
    return CodecTask(number, frozen, new_networks(own, frozen, 0), own, 0, 8)


def test_untrained_it_changes_nothing_and_trained_it_moves_by_its_reach_at_most():
    sizes = TranslatorSettings(width=8, dilations=(1, 2), n_noise=4, reach=2)
    translator = Translator(sizes, 6, 3, 5)
    translator.std.fill_(0.5)
    latents = torch.randn(2, 6, 20)
    asked = torch.randn(2, 3), torch.randn(2, 5), torch.randn(2, 4)
    assert torch.equal(translator(latents, *asked), latents)
    torch.nn.init.normal_(translator.outer.weight, std=10)
    moved = (translator(latents, *asked) - latents).abs().max().item()
    assert 0.9 < moved <= 2 * 0.5 + 1e-6


@pytest.mark.parametrize("part", [0, 1, 2])
def test_content_style_and_noise_all_steer(part):
    translator = Translator(TranslatorSettings(width=8, dilations=(1,), n_noise=4, reach=2), 6, 3, 5)
    torch.nn.init.normal_(translator.outer.weight)
    latents, asked = torch.randn(1, 6, 20), [torch.randn(1, 3), torch.randn(1, 5), torch.randn(1, 4)]
    before = translator(latents, *asked)
    asked[part] = asked[part] + 1
    assert (translator(latents, *asked) - before).abs().max() > 1e-3


def test_every_scale_of_the_critic_hears_waves_and_condition():
    torch.manual_seed(0)
    critic = WaveCritic(WaveCriticSettings(channels=(8, 8), n_scales=3, n_frames=16), 5)
    waves, condition = torch.randn(2, 4096), torch.randn(2, 5)
    logits = critic(waves, condition).logits
    assert len(logits) == 3 and [len(each) for each in logits] == [2, 2, 2]
    others = critic(waves.flip(1), condition).logits, critic(waves, condition.flip(0)).logits
    assert all(
        (one - other).abs().max() > 1e-4 for changed in others for one, other in zip(logits, changed, strict=True)
    )


def test_the_first_stage_asks_for_the_items_own_styles(frozen):
    built = task(frozen, 1)
    rows = built.rows[:4]
    ask = built.ask(built.draw(np.arange(4), 0))
    assert ask.genres.tolist() == built.genre[rows].tolist()
    np.testing.assert_array_equal(ask.style, frozen.bank.targets[rows])
    np.testing.assert_array_equal(ask.target, frozen.targets.targets[rows])


@pytest.mark.parametrize("number", [2, 3])
def test_later_stages_ask_for_other_genres_by_the_same_exemplars_in_both_kinds_of_vector(frozen, number):
    plain = {name: replace(getattr(frozen, name), exemplar_noise=0.0) for name in ("bank", "targets")}
    frozen = frozen._replace(**plain)
    built = task(frozen, number, mode="exemplar", style_dropout_p=0)
    for step in range(3):
        ask = built.ask(built.draw(np.arange(len(built.rows)), step))
        assert (ask.genres.numpy() != built.genre[built.rows]).all()
        for style, target, genre in zip(ask.style.numpy(), ask.target.numpy(), ask.genres.tolist(), strict=True):
            candidates = frozen.bank.train_rows[genre]
            by_bank = candidates[(frozen.bank.targets[candidates] @ style).argmax()]
            assert by_bank == candidates[(frozen.targets.targets[candidates] @ target).argmax()]


@pytest.mark.parametrize("probability", [0, 1])
def test_dropped_styles_are_the_genres_centroids(frozen, probability):
    built = task(frozen, 3, mode="exemplar", style_dropout_p=probability)
    ask = built.ask(built.draw(np.arange(len(built.rows)), 0))
    centroids = frozen.bank.centroids[ask.genres.numpy()]
    assert np.allclose(ask.style, centroids, atol=1e-6) == bool(probability)


def test_a_step_reports_every_loss_and_none_that_has_no_weight(frozen):
    names = set(CODEC["stage2"]["weights"])
    assert names <= set(task(frozen, 2).step(np.arange(4), 0))
    for name in names - {"adversarial", "feature_matching"}:
        assert name not in task(frozen, 2, **{name: 0}).step(np.arange(4), 0)
    alone = task(frozen, 2, adversarial=0, feature_matching=0).step(np.arange(4), 0)
    assert not {"adversarial", "feature_matching", "critic"} & set(alone)


def test_mode_seeking_costs_a_translator_that_ignores_the_noise(frozen):
    built = task(frozen, 3, mode_seeking_margin=0.01)
    ask, noise = built.ask(built.draw(np.arange(4), 0)), torch.randn(4, 4)
    made = built.networks.generator(ask.latents, ask.source.content, ask.style, noise)
    assert float(built._mode_seeking(ask, made, noise)) == pytest.approx(0.01, rel=0.02)
    torch.nn.init.normal_(built.networks.generator.outer.weight)
    made = built.networks.generator(ask.latents, ask.source.content, ask.style, noise)
    assert float(built._mode_seeking(ask, made, noise)) == 0


def test_the_teacher_is_asked_for_the_same_music_in_the_same_style(frozen):
    class Teacher:
        def generate(self, content, sequence, target):
            self.asked = content, sequence, target
            return torch.full((len(content), 96, N_FRAMES), -0.5)

    teacher = Teacher()
    built = task(frozen._replace(teacher=teacher), 2)
    ask = built.ask(built.draw(np.arange(4), 0))
    mels = torch.zeros(4, 96, N_FRAMES, requires_grad=True)
    loss = built._teacher_loss(ask, mels)
    assert float(loss.detach()) == 0.5
    for asked, wanted in zip(teacher.asked, (ask.source.content, ask.source.sequence, ask.target), strict=True):
        assert torch.equal(asked, wanted)
    loss.backward()
    assert (mels.grad > 0).all()


def test_the_probe_tells_a_translator_that_changes_nothing_from_one_that_obeys(frozen):
    built = task(frozen, 2)
    assert built.probe() == {"swap_change": 0, "pairwise_ratio": pytest.approx(1, rel=1e-4)}
    torch.nn.init.normal_(built.networks.average.outer.weight)
    assert built.probe()["swap_change"] > 1e-5


def test_push_and_align_see_the_embedding(frozen):
    built = task(frozen, 2)
    ask = built.ask(built.draw(np.arange(4), 0))
    losses = built._latent_losses(ask, ask.latents)
    assert float(losses["push"]) == pytest.approx(1, abs=1e-5)
    assert float(losses["latent_l1"]) == float(losses["continuity"]) == 0
    own = ask._replace(style=frozen.bank.judge(ask.latents))
    assert float(built._latent_losses(own, ask.latents)["align"]) == pytest.approx(0, abs=1e-5)


def test_gradients_reach_the_translator_through_codec_and_analysis(frozen):
    built = task(frozen, 2)
    before = built.networks.generator.outer.weight.clone()
    content = {name: value.clone() for name, value in frozen.content.state_dict().items()}
    built.step(np.arange(4), 0)
    assert not torch.equal(built.networks.generator.outer.weight, before)
    assert all(torch.equal(value, content[name]) for name, value in frozen.content.state_dict().items())
    ask = built.ask(built.draw(np.arange(4), 0))
    made = ask.latents.clone().requires_grad_(True)
    built._sound_losses(ask, frozen.sound.waves(made))["content"].backward()
    assert made.grad.abs().sum() > 0


def test_a_run_leaves_its_model_and_its_history(frozen, tmp_path):
    table = train_codec(frozen, settings(), 0, RunFolder(tmp_path))
    assert table["stage"].tolist() == [1, 2, 3] and table["loss"].notna().all()
    translator = load_translator(tmp_path)
    path = CodecPath(
        frozen.cache, frozen.latents, frozen.content, frozen.bank, translator, frozen.sound, "centroid", frozen.device
    )
    rows = frozen.cache.rows("test")[:2]
    with torch.no_grad():
        output = path(rows, np.array([1, 0]), np.random.default_rng(0))
    assert output.mels.shape == (2, 96, N_FRAMES) and output.sample_rate == 24_000
    assert output.waves.shape == (2, frozen.latents.n_frames * 320) and np.isfinite(output.waves).all()


def test_a_stage_of_no_epochs_is_left_out(frozen, tmp_path):
    own = settings("stage3", loop={"epochs": 0, "batch_size": 4})
    assert train_codec(frozen, own, 0, RunFolder(tmp_path))["stage"].tolist() == [1, 2]


def test_planted_cache_of_one_genre_is_an_error(frozen, tmp_path):
    bank = StyleBank(
        frozen.bank.targets, frozen.bank.centroids[:1], ["bright"], frozen.bank.train_rows[:1], 0.0, frozen.bank.judge
    )
    with pytest.raises(CorpusError, match="at least two genres"):
        train_codec(frozen._replace(bank=bank), settings(), 0, RunFolder(tmp_path))
