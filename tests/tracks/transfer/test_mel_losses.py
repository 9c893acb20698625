"""What the adversaries and the mel generator minimise, at values known in advance."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from soundgate.runtime.files import read_json
from soundgate.tracks.transfer.content.model import Analysis
from soundgate.tracks.transfer.continuity import mel_continuity
from soundgate.tracks.transfer.mel.losses import (
    band_loss,
    band_statistics,
    content_loss,
    flatness,
    flatness_loss,
    style_loss,
)
from soundgate.tracks.transfer.run_folder import RunFolder
from soundgate.training.adversarial import (
    feature_matching,
    group_means,
    hinge_discriminator,
    hinge_generator,
    moment_matching,
    r1_penalty,
    reverse_gradient,
)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_hinge_at_known_values():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-2.0, 0.0])
    # Real: 0 and 0.5; fake: 0 and 1.
    assert hinge_discriminator(real, fake) == pytest.approx(0.25 + 0.5)
    assert hinge_discriminator(torch.zeros(3), torch.zeros(3)) == pytest.approx(2)
    assert hinge_discriminator(torch.full((3,), 1.0), torch.full((3,), -1.0)) == 0
    assert hinge_generator(fake) == pytest.approx(1)


def test_critics_of_different_sizes_count_alike():
    knows, blind = torch.full((2, 50), 5.0), torch.zeros(2, 3)
    assert hinge_discriminator([knows, blind], [-knows, blind]) == pytest.approx(1)
    assert hinge_generator([knows, blind]) == pytest.approx(-2.5)


def test_r1_of_a_linear_critic_is_half_its_squared_weights():
    weights = noise(4, 5)
    for n_items in (1, 7):
        inputs = noise(n_items, 4, 5, seed=1).requires_grad_(True)
        logits = (inputs * weights).sum(dim=(1, 2))
        assert r1_penalty(logits[:, None], inputs).item() == pytest.approx(weights.square().sum().item() / 2, rel=1e-5)


def test_r1_averages_positions_and_adds_critics():
    weights = noise(6)
    inputs = noise(3, 6, seed=1).requires_grad_(True)
    whole = (inputs * weights).sum(dim=1, keepdim=True)
    patches = inputs * weights * 6  # Six positions whose mean is the whole's logit.
    expected = weights.square().sum().item() / 2
    assert r1_penalty(patches, inputs).item() == pytest.approx(expected, rel=1e-5)
    assert r1_penalty([whole, patches], inputs).item() == pytest.approx(4 * expected, rel=1e-5)


def test_r1_reaches_the_critics_weights():
    weight = torch.tensor(3.0, requires_grad=True)
    inputs = torch.ones(2, 1, requires_grad=True)
    r1_penalty(weight * inputs, inputs).backward()
    assert weight.grad == pytest.approx(3)  # Of w² / 2.


def test_feature_matching_is_the_mean_distance_and_moves_only_the_fake():
    real = [torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 8, requires_grad=True)]
    fake = [torch.ones(2, 3, requires_grad=True), torch.full((2, 8), 3.0, requires_grad=True)]
    loss = feature_matching(real, fake)
    loss.backward()
    assert loss.item() == pytest.approx(2)
    assert feature_matching(real, real) == 0
    assert all(layer.grad is None for layer in real) and all(layer.grad.abs().sum() > 0 for layer in fake)


def test_moment_matching_compares_groups_and_not_items():
    groups = torch.tensor([3, 3, 7, 7])
    real = [noise(4, 2, 5)]
    within = [real[0][[1, 0, 3, 2]].flip(-1)]
    across = [real[0][[2, 3, 0, 1]]]
    assert moment_matching(real, within, groups).item() == pytest.approx(0, abs=1e-6)
    assert moment_matching(real, across, groups) > 0.1
    # Half of what is compared are means, which move by 2, half are spreads, which do not move.
    assert moment_matching(real, [real[0] + 2], groups).item() == pytest.approx(1)
    # In the mean over all items these changes cancel.
    shift = torch.tensor([1.0, 1.0, -1.0, -1.0])[:, None, None]
    assert moment_matching(real, [real[0] + shift], groups).item() == pytest.approx(0.5)


def test_moment_matching_sees_what_is_blurred():
    real = torch.tensor([-1.0, 1.0]).repeat(4)[None, None]
    # Equal means; spreads of 1 and 0.
    assert moment_matching([real], [0 * real], torch.zeros(1).long()).item() == pytest.approx(0.5, rel=1e-2)


def test_means_of_groups_stand_in_the_groups_order():
    values = torch.tensor([[1.0, 10.0], [5.0, 0.0], [3.0, 20.0]])
    assert group_means(values, torch.tensor([4, 2, 4])).tolist() == [[5, 0], [2, 15]]


def test_band_statistics_of_a_square_wave():
    mels = torch.tensor([0.0, 0.0, 1.0, 1.0]).repeat(2)[None, None] * torch.tensor([1.0, 0.2])[:, None]
    mean, spread, steps = band_statistics(mels)[0]
    assert mean.tolist() == pytest.approx([0.5, 0.1])
    assert spread.tolist() == pytest.approx([0.5, 0.1], rel=1e-3)
    # Three of its seven steps are of 1.
    assert steps.tolist() == pytest.approx([math.sqrt(3 / 7), 0.2 * math.sqrt(3 / 7)], rel=1e-3)


def test_band_loss_compares_with_the_genre_of_each_item():
    mels = noise(4, 6, 40).clamp(-1, 1)
    genres = torch.tensor([2, 0, 2, 0])
    own = band_statistics(mels)
    wanted = torch.stack([own[[1, 3]].mean(dim=0), torch.full((3, 6), torch.nan), own[[0, 2]].mean(dim=0)])
    assert band_loss(mels, wanted, genres).item() == pytest.approx(0, abs=1e-6)
    # A shift moves the means alone, a third of the statistics.
    assert band_loss(mels + 0.3, wanted, genres).item() == pytest.approx(0.1, rel=1e-4)
    assert band_loss(mels, wanted.flip(0), genres) > 0.01


def test_gradients_are_turned_round():
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    passed = reverse_gradient(values, 0.5)
    (passed * torch.tensor([3.0, -4.0])).sum().backward()
    assert passed.tolist() == [1, 2]
    assert values.grad.tolist() == [-1.5, 2]


def test_continuity_of_equal_spectrograms_is_nothing():
    mel = noise(3, 4, 256)
    assert mel_continuity(mel, mel).tolist() == [0, 0, 0]


def test_continuity_of_a_doubled_signal():
    mel = 1000 * noise(2, 4, 256)  # Far above the smallest magnitude that counts.
    # Spectral convergence |2S - S| / |S| = 1, logarithms differ by ln 2.
    assert mel_continuity(2 * mel, mel).tolist() == pytest.approx([1 + math.log(2)] * 2, rel=1e-3)


def test_continuity_looks_at_movement_and_item_by_item():
    mel = noise(2, 8, 256)
    smoothed = torch.nn.functional.avg_pool1d(mel, 9, 1, 4)
    made = torch.stack([mel[0], smoothed[1]])
    losses = mel_continuity(made, mel)
    assert losses[0] == 0 and losses[1] > 0.5
    less = torch.nn.functional.avg_pool1d(mel, 3, 1, 1)
    assert mel_continuity(less, mel)[1] < losses[1]


def test_continuity_has_gradients_where_nothing_moves():
    silent = torch.full((1, 4, 256), -1.0, requires_grad=True)
    mel_continuity(silent, noise(1, 4, 256)).sum().backward()
    assert torch.isfinite(silent.grad).all()


def analysis(content, sequence):
    nothing = torch.zeros(1)
    return Analysis(content, sequence, nothing, nothing, nothing)


def test_content_loss_at_known_angles():
    content, sequence = torch.eye(4)[:2], torch.eye(4)[None, :, :3].repeat(2, 1, 1)
    same = analysis(content, sequence)
    assert content_loss(same, same).item() == pytest.approx(0, abs=1e-6)
    assert content_loss(analysis(-content, -sequence), same).item() == pytest.approx(4)
    assert content_loss(analysis(content[[1, 0]], sequence), same).item() == pytest.approx(1)
    # One of three moments is at a right angle.
    moved = sequence.clone()
    moved[:, :, 0] = torch.eye(4)[3]
    assert content_loss(analysis(content, moved), same).item() == pytest.approx(1 / 3)
    assert content_loss(analysis(5 * content, 5 * sequence), same).item() == pytest.approx(0, abs=1e-6)


def test_style_loss_at_known_angles():
    target = torch.eye(3)[:2]
    assert style_loss(target, target) == 0
    assert style_loss(-target, target) == pytest.approx(2)
    assert style_loss(target[[1, 0]], target) == pytest.approx(1)


def test_flatness_of_a_flat_spectrum_and_of_a_line():
    flat = torch.full((1, 96, 5), -0.3)
    assert flatness(flat).tolist() == pytest.approx(np.zeros((1, 5)), abs=1e-4)
    line = torch.full((1, 96, 5), -1.0)
    line[:, 40] = 1.0
    # Geometric mean -80 · 95 / 96 dB; arithmetic mean (1 + 95e-8) / 96.
    expected = -80 * 95 / 96 - 10 * math.log10((1 + 95e-8) / 96)
    assert flatness(line)[0].tolist() == pytest.approx([expected] * 5, rel=1e-4)


def test_flatness_loss_compares_distributions_over_time():
    mels = noise(2, 96, 40).clamp(-1, 1)
    shuffled = mels[:, :, torch.randperm(40, generator=torch.Generator().manual_seed(1))]
    assert flatness_loss(shuffled, mels).item() == pytest.approx(0, abs=1e-6)
    flat, line = torch.full((1, 96, 5), -0.3), torch.full((1, 96, 5), -1.0)
    line[:, 40] = 1.0
    assert flatness_loss(flat, line).item() == pytest.approx(-flatness(line)[0, 0].item() / 40, rel=1e-4)


def test_a_run_folder_has_the_seeds_names(tmp_path):
    run = RunFolder(tmp_path / "run")
    assert run.checkpoint(2) == tmp_path / "run/checkpoints/stage2_latest.pt"
    run.write_state({"status": "complete", "stages": [1, 2]})
    rows = {2: [{"epoch": 1, "style": 0.5}], 1: [{"epoch": 1, "l1": 0.25}, {"epoch": 2, "l1": 0.125}]}
    table = run.write_history(rows)
    assert read_json(tmp_path / "run/run_state.json")["status"] == "complete"
    read = pd.read_csv(tmp_path / "run/history.csv")
    pd.testing.assert_frame_equal(read, table)
    assert list(read) == ["stage", "epoch", "l1", "style"]
    assert read["stage"].tolist() == [1, 1, 2] and read["l1"].isna().tolist() == [False, False, True]
