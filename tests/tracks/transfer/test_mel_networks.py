"""The generator and the critic of the mel path."""

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from soundgate.networks.film import Film
from soundgate.tracks.transfer.mel.critic import Critic, _folded
from soundgate.tracks.transfer.mel.generator import Generator, MultiReceptiveResidual
from soundgate.tracks.transfer.mel.model import load_mel_model, save_mel_model
from soundgate.tracks.transfer.mel.settings import CriticSettings, GeneratorSettings

DIM, STEPS, D = 128, 32, 5
SMALL = {"channels": 8, "detail": 0, "trunk": 16, "n_trunk": 1, "kernels": ((3, 1), (3, 3))}


def generator(seed=0, **changes):
    torch.manual_seed(seed)
    return Generator(GeneratorSettings.model_validate(SMALL | changes), D)


def critic(**changes):
    torch.manual_seed(0)
    settings = {"channels": (4, 6, 8), "n_scales": 2, "periods": (2, 3)} | changes
    return Critic(CriticSettings.model_validate(settings), D, 96).eval()


def inputs(n=2, seed=1):
    torch.manual_seed(seed)
    unit = functional.normalize
    return unit(torch.randn(n, DIM)), unit(torch.randn(n, DIM, STEPS), dim=1), unit(torch.randn(n, D))


@pytest.mark.parametrize("changes", [{}, {"detail": 4}, {"n_trunk": 0}, {"kernels": ((5, 1),)}])
def test_spectrograms_lie_in_the_models_range(changes):
    mels = generator(**changes)(*inputs())
    assert mels.shape == (2, 96, 256)
    assert mels.abs().max() < 1 and mels.std() > 0.01


def test_equal_inputs_give_equal_spectrograms_alone_or_in_a_batch():
    made = generator()
    together = made(*inputs())
    assert torch.equal(together, made(*inputs()))
    alone = torch.cat([made(*(values[i : i + 1] for values in inputs())) for i in range(2)])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)
    assert not torch.equal(together, generator(seed=1)(*inputs()))


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_content_sequence_and_target_each_have_an_effect(changed):
    made, values = generator(), list(inputs())
    before = made(*values)
    values[changed] = values[changed].flip(0)
    assert (made(*values) - before).abs().mean() > 1e-3


def test_a_step_of_content_writes_its_own_eight_frames():
    made, (content, sequence, target) = generator(n_trunk=0), inputs()
    changed = sequence.clone()
    changed[:, :, 16] = -changed[:, :, 16]

    def frames():
        moved = (made(content, changed, target) - made(content, sequence, target)).abs().amax(dim=(0, 1)) > 1e-6
        return torch.nonzero(moved).flatten().tolist()

    seen = frames()
    assert set(range(128, 136)) <= set(seen) and min(seen) > 64 and max(seen) < 200
    torch.nn.init.zeros_(made.blocks[-1].spread.weight)
    assert frames() == list(range(128, 136))  # The draft alone.


def test_the_grid_is_in_step_with_the_draft():
    made, (content, sequence, target) = generator(n_trunk=0), inputs()
    torch.nn.init.zeros_(made.draft.weight)
    changed = sequence.clone()
    changed[:, :, 16] = -changed[:, :, 16]
    difference = (made(content, changed, target) - made(content, sequence, target)).square().sum(dim=(0, 1))
    centre = (difference * torch.arange(256)).sum() / difference.sum()
    assert 126 < centre < 138


def test_film_scales_and_shifts_by_the_condition():
    film = Film(1, 2)
    with torch.no_grad():
        film.linear.weight.copy_(torch.tensor([[1.0], [0.0], [0.0], [3.0]]))
        film.linear.bias.zero_()
    values = torch.ones(2, 2, 4)
    made = film(values, torch.tensor([[0.0], [2.0]]))
    assert torch.equal(made[0], values[0])
    assert made[1, 0].tolist() == [3.0] * 4 and made[1, 1].tolist() == [7.0] * 4


def test_a_residual_without_weights_passes_its_input_on():
    residual = MultiReceptiveResidual(8, ((3, 1), (5, 2)))
    torch.nn.init.zeros_(residual.mix.weight)
    torch.nn.init.zeros_(residual.mix.bias)
    grid = torch.randn(1, 8, 6, 16)
    assert torch.equal(residual(grid), grid)


def test_the_critics_projection_is_linear_in_the_condition():
    judge, mels = critic(), torch.randn(2, 96, 256)
    first, second = inputs(seed=2)[2], inputs(seed=3)[2]
    nothing = torch.zeros_like(first)
    verdicts = [judge(mels, condition).logits for condition in (first, second, nothing, first + second)]
    for one, other, plain, both in zip(*verdicts, strict=True):
        assert (one - plain).abs().mean() > 1e-4
        torch.testing.assert_close(one + other - plain, both, atol=1e-5, rtol=0)


def test_there_is_a_verdict_for_each_scale_and_period():
    verdict = critic()(torch.randn(3, 96, 256), torch.zeros(3, D))
    assert [len(logits) for logits in verdict.logits] == [3] * 4
    assert len(verdict.features) == 2 * 3 + 2 * 2
    assert verdict.logits[0].shape[1:] == (6, 16) and verdict.logits[1].shape[1:] == (3, 8)
    only = critic(n_scales=0, periods=(4,))(torch.randn(1, 96, 256), torch.zeros(1, D))
    assert len(only.logits) == 1


def test_folding_puts_frames_a_period_apart_side_by_side():
    mels = torch.arange(7.0).expand(1, 2, 7)
    assert _folded(mels, 3)[0, 0].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_no_layer_of_the_critic_stretches():
    judge = critic().train()
    for _ in range(30):
        judge(torch.randn(2, 96, 256), inputs()[2])
    for sub in (*judge.scales, *judge.periods):
        for layer in (*sub.layers, sub.logit, sub.projection):
            assert torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item() < 1.05


def test_a_saved_model_writes_the_same_spectrograms(tmp_path):
    made = generator()
    save_mel_model(tmp_path, made)
    model = load_mel_model(tmp_path)
    assert torch.equal(model.generate(*inputs()), made(*inputs()))
    assert not any(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("changes", [{"channels": 12}, {"kernels": ((4, 1),)}, {"kernels": ()},
                                     {"channels": 8, "kernels": ((3, 1), (3, 2), (3, 4))}])  # fmt: skip
def test_generator_settings_out_of_range(changes):
    with pytest.raises(ValidationError):
        GeneratorSettings.model_validate(SMALL | changes)


@pytest.mark.parametrize("changes", [{"n_scales": 0, "periods": ()}, {"periods": (0,)}])
def test_critic_settings_out_of_range(changes):
    with pytest.raises(ValidationError):
        critic(**changes)


@pytest.mark.parametrize("detail", [0, 4])
def test_an_untrained_generator_has_no_pattern_of_the_shuffles(detail):
    made, (content, sequence, target) = generator(detail=detail), inputs()
    mels = made(content, sequence[:, :, :1].expand(-1, -1, STEPS), target)
    # Content that does not change: away from the ends, and from the last convolution, frames are equal.
    assert mels[:, :, 100:150].std(dim=-1).max() < 1e-5
