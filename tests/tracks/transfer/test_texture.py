"""Texture statistics: what they tell apart and what they do not hear."""

import pytest
import torch

from soundgate.tracks.transfer.texture import Textures, texture_statistics


def noise(n, seed, smooth=1, coherent=0.0):
    """Return [n, 96, 256]: bands that move at a speed, with a share that is the same in all bands."""
    generator = torch.Generator().manual_seed(seed)
    own = torch.randn(n, 96, 256 + smooth, generator=generator)
    together = torch.randn(n, 1, 256 + smooth, generator=generator)
    moved = torch.nn.functional.avg_pool1d(own + coherent * together, smooth, 1)[..., :256]
    return 0.2 * moved / moved.std()


def textures(*kinds):
    return Textures.of([texture_statistics(kind) for kind in kinds])


@pytest.mark.parametrize("other", [{"smooth": 8}, {"coherent": 1.0}])
def test_speed_and_coherence_are_heard_though_level_and_spread_are_the_same(other):
    known = textures(noise(24, 0), noise(24, 1, **other))
    first, second = torch.zeros(8, dtype=torch.long), torch.ones(8, dtype=torch.long)
    made = noise(8, 2)
    assert known.loss(made, second) > 3 * known.loss(made, first)
    made = noise(8, 3, **other)
    assert known.loss(made, first) > 3 * known.loss(made, second)


def test_what_one_item_has_too_much_does_not_make_up_for_what_another_has_too_little():
    known = textures(noise(24, 0))
    genres = torch.zeros(8, dtype=torch.long)
    made = noise(8, 1)
    louder, softer = made + 0.2, made - 0.2
    apart = torch.cat([louder[:4], softer[4:]])
    assert known.loss(apart, genres) == pytest.approx(float(known.loss(louder, genres)), rel=0.1)
    assert known.loss(apart, genres) > 5 * known.loss(made, genres)


def test_when_things_sound_is_not_heard():
    clips = noise(4, 0)
    moved = torch.roll(clips, 100, dims=-1)
    apart = (texture_statistics(moved) - texture_statistics(clips)).abs().mean()
    assert apart < 0.1 * (texture_statistics(noise(4, 1, smooth=8)) - texture_statistics(clips)).abs().mean()


def test_gradients_are_finite_where_nothing_moves():
    clips = torch.zeros(2, 96, 256, requires_grad=True)
    textures(noise(8, 0)).loss(clips, torch.zeros(2, dtype=torch.long)).backward()
    assert clips.grad.isfinite().all()
