import pytest
import torch
from torch import nn

from tests.pretended_gpu import CPU, GPU, MixedDevices, PretendedGpu


@pytest.fixture
def gpu():
    with PretendedGpu() as gpu:
        yield gpu


def test_tensors_remember_where_they_were_put(gpu):
    put, made = torch.ones(3).to("cuda"), torch.zeros(3, device="cuda")
    for there in (put, made, put + made, put[1:], put.view(1, 3), torch.cat([put, made]), torch.randn_like(put)):
        assert there.device == GPU and gpu.holds(there)
    for here in (put.cpu(), torch.ones(3), torch.arange(3), put.to(CPU), torch.zeros_like(put, device="cpu")):
        assert here.device == CPU and not gpu.holds(here)
    assert put.cpu().to(put).device == GPU and put.to(torch.float64).device == GPU


@pytest.mark.parametrize(
    "mixed",
    [
        lambda here, there: here + there,
        lambda here, there: there * here,
        lambda here, there: torch.cat([here, there]),
        lambda here, there: torch.stack([here.sum(), there.sum()]),
        lambda here, there: torch.where(here > 0, there, there),
        lambda here, there: nn.Linear(4, 2)(there),
        lambda here, there: nn.Linear(4, 2).to("cuda")(here),
        lambda here, there: here[there.long()],
        lambda here, there: here.add_(there),
        lambda here, there: nn.functional.mse_loss(here, there),
        lambda here, there: here + there.sum(),
        lambda here, there: there.numpy(),
    ],
)
def test_what_a_gpu_refuses_is_refused(gpu, mixed):
    with pytest.raises(MixedDevices):
        mixed(torch.ones(4), torch.ones(4, device="cuda"))


@pytest.mark.parametrize(
    "mixed",
    [
        lambda here, there: there * torch.tensor(2.0),
        lambda here, there: there[here.long() * 0],
        lambda here, there: there.copy_(here),
        lambda here, there: there.cpu().numpy(),
        lambda here, there: float(there.sum()),
    ],
)
def test_what_a_gpu_allows_is_allowed(gpu, mixed):
    mixed(torch.ones(4), torch.ones(4, device="cuda"))


def test_gradients_and_averages_are_where_the_weights_are(gpu):
    layer = nn.Linear(4, 2).to("cuda")
    optimiser = torch.optim.AdamW(layer.parameters(), fused=True)
    layer(torch.ones(3, 4, device="cuda")).sum().backward()
    nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
    optimiser.step()
    assert all(own.grad.device == GPU for own in layer.parameters())
    assert all(kept.device == GPU for state in optimiser.state.values() for kept in state.values())


def test_nothing_is_pretended_outside():
    with PretendedGpu():
        there = torch.ones(3, device="cuda")
    assert there.device == CPU
