"""Figures of one batch, and of what goes through networks, on batches whose answer is known."""

import pytest
import torch
from torch import nn

from soundgate.training.health.seen import Seen, figures_of
from soundgate.training.health.traffic import Traffic
from soundgate.training.health.watch import Watch

RATE, T = 16_000, 16_384


def noise(n=4, low=0.0, high=0.95):
    """Noise [n, T] between two shares of half the sample rate."""
    spectrum = torch.fft.rfft(torch.randn(n, T, generator=torch.Generator().manual_seed(0)))
    share = torch.linspace(0, 1, spectrum.shape[1])
    return torch.fft.irfft(spectrum * ((share >= low) & (share <= high)), T)


def sound(wav):
    return figures_of(Seen(sound=wav))


@pytest.mark.parametrize("high", [0.3, 0.5, 0.8])
def test_sound_ends_where_its_band_does(high):
    assert sound(noise(high=high))["bandwidth"] == pytest.approx(high, abs=0.02)


def test_silence_is_counted_by_frames_and_by_items():
    wav = noise()
    wav[:, : T // 2] = 0
    assert sound(wav)["silence"] == 0.5 and sound(wav)["mute"] == 0.0
    wav[0] = 0
    assert sound(wav)["mute"] == 0.25 and sound(wav)["silence"] == 0.625
    assert sound(noise())["silence"] == 0.0


def test_clipping_and_an_offset_are_seen_in_their_size():
    wav = noise()
    level = wav.square().mean().sqrt()
    assert sound(wav)["clipped"] < 1e-3 and sound(wav)["offset"] < 0.01
    assert sound(wav.clamp(-level, level))["clipped"] == pytest.approx(0.317, abs=0.02)
    assert sound(wav + level)["offset"] == pytest.approx(0.5**0.5, abs=0.02)


def test_sound_that_is_too_short_not_finite_or_silent_breaks_nothing():
    assert sound(torch.zeros(2, 100)) == {} == sound(torch.full((2, T), torch.nan))
    assert set(sound(torch.zeros(2, T))) == {"silence", "mute", "clipped"}


def test_labels_are_held_against_distances():
    places = torch.tensor([[0.0], [0.1], [5.0], [5.1]])
    right = figures_of(Seen(labels=torch.tensor([0, 0, 1, 1]), features=places))
    wrong = figures_of(Seen(labels=torch.tensor([0, 1, 0, 1]), features=places))
    assert right == {"labels": 1.0, "label_pairs": 2.0} and wrong["labels"] == pytest.approx(0.25)
    same = figures_of(Seen(labels=torch.tensor([0, 0, 1, 1]), features=torch.zeros(4, 3)))
    assert same["labels"] == 0.5
    assert figures_of(Seen(labels=torch.arange(4), features=places)) == {}


def test_targets_are_held_against_outputs():
    targets = torch.eye(4)
    assert figures_of(Seen(outputs=targets, targets=targets))["targets"] == 1.0
    assert figures_of(Seen(outputs=targets.roll(1, 0), targets=targets))["targets"] < 0.5
    assert figures_of(Seen(outputs=torch.zeros(4, 4), targets=targets))["targets"] == 0.5


class Half(nn.Module):
    """Dropout and batch normalisation around a layer; constant where it is asked for."""

    def __init__(self):
        super().__init__()
        self.layer, self.norm, self.drop = nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)
        self.constant = False

    def forward(self, inputs):
        made = self.norm(self.layer(inputs))
        return made.mean(dim=0, keepdim=True).expand_as(made) if self.constant else made


def passed(first, inputs, second=None, detach=False):
    """Return what traffic sees of a call of one network, and of a second one upon it."""
    traffic = Traffic({"first": first} | ({} if second is None else {"second": second}))
    traffic.arm()
    made = first(inputs)
    if second is not None:
        second(made.detach() if detach else made)
    return traffic.collect()


def test_traffic_tells_copies_repeats_constant_outputs_modes_and_what_is_detached():
    inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    network = Half()
    found = passed(network, inputs)
    assert found["input/first"] == pytest.approx(float(inputs.square().mean().sqrt()), rel=1e-5)
    assert found["copies/first"] == found["evaluating/first"] == found["attached/first"] == 0.0
    assert found["spread/first"] > 0.1
    assert passed(network, inputs)["print/first"] == found["print/first"]
    assert passed(network, inputs.flip(0))["print/first"] != found["print/first"]
    assert passed(network, torch.cat([inputs[:2], inputs[:2]]))["copies/first"] == 0.5
    network.constant = True
    assert passed(network, inputs)["spread/first"] < 1e-10
    network.norm.eval()
    assert passed(network, inputs)["evaluating/first"] == 0.5
    assert passed(Half(), inputs, nn.Linear(3, 1))["attached/second"] == 1.0
    assert passed(Half(), inputs, nn.Linear(3, 1), detach=True)["attached/second"] == 0.0


def test_traffic_looks_at_one_call_and_not_at_evaluations():
    network = Half()
    traffic = Traffic({"net": network})
    traffic.arm()
    with torch.no_grad():
        network(torch.ones(2, 3))
    network(torch.full((2, 3), 2.0))
    network(torch.full((2, 3), 5.0))
    assert traffic.collect()["input/net"] == 2.0 and not network._forward_hooks
    network(torch.ones(2, 3))
    assert traffic.collect() == {}


def test_the_watch_measures_clipping_decay_and_the_effect_of_a_step():
    network, batch = nn.Linear(3, 1, bias=False), torch.ones(2, 3)
    nn.init.ones_(network.weight)
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    watch = Watch({"net": network}, {"sgd": optimiser}, lambda: {"loss": float(network(batch).detach().mean())})
    watch.arm()
    network(batch).mean().backward()
    nn.utils.clip_grad_norm_(network.parameters(), 0.5 * 3**0.5)
    optimiser.step()
    found = watch.collect()
    # The gradient is (1, 1, 1), halved; a step of 0.05 each way down from (1, 1, 1).
    assert found["clipped/net"] == pytest.approx(0.5, rel=1e-4) and found["shrink/net"] == pytest.approx(1.0)
    assert found["effect/loss"] == pytest.approx(-0.05, rel=1e-4)
    watch.close()


def test_gradients_that_a_closure_computes_within_the_step_are_seen():
    network = nn.Linear(3, 1, bias=False)
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    watch = Watch({"net": network}, {"sgd": optimiser})
    watch.arm()

    def closure():
        optimiser.zero_grad()
        loss = network(torch.ones(2, 3)).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    assert watch.collect()["gradient/net"] == pytest.approx(3**0.5, rel=1e-5)
    watch.close()
