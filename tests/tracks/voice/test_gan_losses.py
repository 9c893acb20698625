import math

import numpy as np
import pytest
import torch
from auraloss.freq import MultiResolutionSTFTLoss
from torch.nn import functional

from soundgate.tracks.voice.gan.contrastive import Negatives, choose_negatives, contrastive_loss
from soundgate.tracks.voice.gan.discriminators import PERIODS, RESOLUTIONS, Mpd, Mrd
from soundgate.tracks.voice.gan.memory import EmbeddingMemory
from soundgate.tracks.voice.gan.reconstruction import SpectralLosses, _mirrored
from soundgate.tracks.voice.gan.settings import ContrastiveSettings
from soundgate.training.adversarial import least_squares_discriminator, least_squares_generator
from tests.tracks.voice.planted_gan import SETTINGS

RATE = 8_000


def contrastive(**changes):
    return ContrastiveSettings.model_validate(SETTINGS["contrastive"] | {"hard": 0.85} | changes)


def directions(*degrees):
    """Return unit vectors in the plane, [n, 2]: their cosines are those of the angles between them."""
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float32))
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def negatives_at(*degrees):
    return Negatives(directions(*degrees)[None], torch.ones(1, len(degrees), dtype=torch.bool))


def test_infonce_is_the_logarithm_of_the_targets_share():
    made, target = directions(0), directions(60)
    loss = contrastive_loss(made, target, negatives_at(90, 180), contrastive(temperature=0.5))
    expected = -math.log(math.exp(1.0) / (math.exp(1.0) + math.exp(0.0) + math.exp(-2.0)))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_margin_loss_is_what_negatives_lack_of_the_margin():
    made, target = directions(0), directions(60)
    loss = contrastive_loss(made, target, negatives_at(60, 90, 180), contrastive(kind="margin", margin=0.7))
    assert float(loss) == pytest.approx((0.7 + 0.2 + 0) / 3, rel=1e-4)


@pytest.mark.parametrize("kind", ["infonce", "margin"])
def test_a_step_down_the_loss_goes_to_the_target_and_away_from_negatives(kind):
    angle = torch.tensor(20.0, requires_grad=True)
    made = torch.stack([torch.deg2rad(angle).cos(), torch.deg2rad(angle).sin()])[None]
    negatives = negatives_at(-30)
    contrastive_loss(made, directions(60), negatives, contrastive(kind=kind, margin=1.0)).sum().backward()
    assert angle.grad < 0, "the target lies at 60 degrees, the negative at -30"


@pytest.mark.parametrize("kind", ["infonce", "margin"])
def test_what_is_no_negative_does_not_count(kind):
    made, target = directions(0), directions(60)
    some = Negatives(directions(90, 10)[None], torch.tensor([[True, False]]))
    loss = contrastive_loss(made, target, some, contrastive(kind=kind))
    assert torch.equal(loss, contrastive_loss(made, target, negatives_at(90), contrastive(kind=kind)))
    none = Negatives(directions(90, 10)[None], torch.tensor([[False, False]]))
    assert float(contrastive_loss(made, target, none, contrastive(kind=kind))) == 0


def choose(pool_degrees, pool_speakers, order=None, **changes):
    """Choose for a target of speaker 0 at 0 degrees; return the degrees chosen."""
    pool = directions(*pool_degrees)
    order = torch.linspace(0.1, 0.9, len(pool))[None] if order is None else torch.tensor([order])
    chosen = choose_negatives(
        directions(0), torch.tensor([0]), pool, torch.tensor(pool_speakers), order, contrastive(**changes)
    )
    places = (chosen.embeddings[0] @ pool.T).argmax(dim=1)[chosen.valid[0]]
    return [pool_degrees[place] for place in places]


# Cosines 0.94 (same speaker after all), 0.77 (hard), 0.5 (medium), 0 and -1 (easy).
DEGREES, SPEAKERS = (180, 90, 60, 40, 20), (1, 2, 3, 4, 5)


def test_hard_negatives_come_before_medium_before_easy_ones():
    assert choose(DEGREES, SPEAKERS, n_negatives=2) == [40, 60]
    assert choose(DEGREES, SPEAKERS, n_negatives=4) == [40, 60, 180, 90]
    assert choose(DEGREES, SPEAKERS, n_negatives=4, order=[0.9, 0.1, 0.5, 0.6, 0.2]) == [40, 60, 90, 180]


def test_otherwise_any_do():
    assert choose(DEGREES, SPEAKERS, n_negatives=2, hard_negatives=False) == [180, 90]


def test_bands_move_with_their_bounds():
    assert choose(DEGREES, SPEAKERS, n_negatives=1, hard=0.6, medium=0.55) == [60]
    assert choose(DEGREES, SPEAKERS, n_negatives=2, hard=0.95) == [40, 20]
    order = [0.5, 0.4, 0.3, 0.6, 0.7]
    assert choose(DEGREES, SPEAKERS, n_negatives=2, order=order, medium=0.8) == [60, 40]
    assert choose(DEGREES, SPEAKERS, n_negatives=3, order=order, easy=0.55) == [40, 60, 90]
    assert choose((180, 90), (1, 2), n_negatives=1, order=[0.1, 0.2], easy=-0.5) == [90]


def test_neither_the_target_speaker_nor_an_empty_place_is_a_negative():
    assert choose((180, 90, 60, 40), (0, 1, -1, 0), n_negatives=4) == [90]


def test_the_memory_keeps_the_last_ones():
    memory = EmbeddingMemory(3, 2)
    memory.add(torch.tensor([[1.0, 1], [2, 2]]), torch.tensor([1, 2]))
    assert memory.speakers.tolist() == [1, 2, -1]
    memory.add(torch.tensor([[3.0, 3], [4, 4]]), torch.tensor([3, 4]))
    assert memory.speakers.tolist() == [4, 2, 3]
    assert memory.embeddings[:, 0].tolist() == [4, 2, 3]


def test_spectral_losses_of_one_item_are_those_of_the_library():
    made, truth = torch.randn(2, 1, 6_000, generator=torch.Generator().manual_seed(0)) * 0.1
    sizes = list(RESOLUTIONS)
    library = MultiResolutionSTFTLoss(sizes, [size // 4 for size in sizes], sizes)
    ours = SpectralLosses(RATE, 40)(made, truth)
    assert float(ours["stft"]) == pytest.approx(float(library(made[:, None], truth[:, None])), rel=1e-4)


def test_spectral_losses_of_a_batch_are_means_of_its_parts_and_0_for_the_same():
    losses = SpectralLosses(RATE, 40)
    made, truth = torch.randn(2, 4, 6_000, generator=torch.Generator().manual_seed(1))
    truth = truth * torch.tensor([1.0, 0.1, 3.0, 0.01])[:, None]
    whole = losses(made, truth)
    parts = [losses(made[place], truth[place]) for place in (slice(0, 1), slice(1, 4))]
    for name, value in whole.items():
        torch.testing.assert_close(value, 0.25 * parts[0][name] + 0.75 * parts[1][name])
        assert float(losses(truth, truth)[name]) == 0
    louder = losses(2 * truth, truth)
    assert float(louder["mel"]) == pytest.approx(math.log(2), rel=1e-2)


def test_discriminators_have_the_fields_form_at_full_width():
    mpd, mrd = Mpd(1.0), Mrd(1.0)
    assert [layer.out_channels for layer in mpd.judges[0].layers] == [32, 128, 512, 1024, 1024]
    # HiFi-GAN's: 41.1 million weights (a norm's gains among them).
    assert sum(parameter.numel() for parameter in mpd.parameters()) == pytest.approx(41.1e6, rel=2e-3)
    assert [layer.out_channels for layer in mrd.judges[0].layers] == [32] * 5
    assert len(mpd.judges) == len(PERIODS) and len(mrd.judges) == len(RESOLUTIONS)
    assert [layer.out_channels for layer in Mpd(1 / 16).judges[0].layers] == [2, 8, 32, 64, 64]


def test_a_period_sees_every_so_many_samples_alone():
    mpd = Mpd(1 / 32)
    wav = torch.zeros(1, 2 * 3 * 5 * 7 * 11, requires_grad=True)
    for period, logits in zip(PERIODS, mpd(wav).logits, strict=True):
        assert logits.shape[-1] == period
        (gradient,) = torch.autograd.grad(logits[0, 1, 1].sum(), wav, retain_graph=True)
        places = np.flatnonzero(gradient[0])
        assert len(places) and set(places % period) == {1}


def test_spectra_are_judged_at_hops_of_a_quarter():
    logits = Mrd(1 / 16)(torch.randn(2, 8_192)).logits
    assert [part.shape[1] for part in logits] == [1 + 8_192 // (n_fft // 4) for n_fft in RESOLUTIONS]


@pytest.mark.parametrize("kind", [Mpd, Mrd])
def test_quiet_sound_is_judged_as_loud_and_through_all_layers(kind):
    torch.manual_seed(0)
    wav, critic = torch.randn(2, 4_096), kind(1 / 4)
    loud, quiet = critic(wav), critic(1e-3 * wav)
    for here, there in zip(loud.logits, quiet.logits, strict=True):
        torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-4)
    # Untrained already: activations neither die out nor grow from layer to layer.
    assert all(0.1 < float(features.detach().std()) < 10 for features in loud.features)


@pytest.mark.parametrize("kind", [Mpd, Mrd])
def test_silence_has_a_gradient(kind):
    wav = torch.zeros(1, 4_096, requires_grad=True)
    torch.stack([logits.sum() for logits in kind(1 / 16)(wav).logits]).sum().backward()
    assert wav.grad.isfinite().all() and wav.grad.abs().max() > 0


@pytest.mark.parametrize("kind", [Mpd, Mrd])
def test_an_eighth_of_a_second_can_be_judged(kind):
    torch.manual_seed(0)
    wav = torch.randn(2, 2_000, requires_grad=True)
    logits = kind(1 / 16)(wav).logits
    torch.stack([own.square().mean() for own in logits]).sum().backward()
    assert all(own.numel() and own.isfinite().all() for own in logits)
    assert wav.grad.isfinite().all() and (wav.grad != 0).float().mean() > 0.9


def test_least_squares_know_no_more_than_their_targets():
    ones, zeros = torch.ones(2, 3), torch.zeros(2, 3)
    assert float(least_squares_discriminator([ones], [zeros])) == 0
    assert float(least_squares_discriminator([zeros, 0.5 * ones], [zeros, 0.5 * ones])) == pytest.approx(0.75)
    assert float(least_squares_generator([zeros, 3 * ones])) == pytest.approx(2.5)
    assert functional.mse_loss(ones, zeros) == 1


@pytest.mark.parametrize("beyond", [1, 256, 1024])
def test_mirrored_ends_and_their_gradients_are_those_of_a_reflecting_pad(beyond):
    wav = torch.randn(3, 4000, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(3, 4000 + 2 * beyond, generator=torch.Generator().manual_seed(1))
    both = []
    for pad in (_mirrored, lambda x, n: torch.nn.functional.pad(x[:, None], (n, n), mode="reflect")[:, 0]):
        own = wav.clone().requires_grad_()
        padded = pad(own, beyond)
        (padded * weights).sum().backward()
        both.append((padded.detach(), own.grad))
    assert torch.equal(both[0][0], both[1][0]) and torch.equal(both[0][1], both[1][1])
