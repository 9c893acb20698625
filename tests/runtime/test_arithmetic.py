import ast
from pathlib import Path

import pytest
import torch

from soundgate.runtime.arithmetic import arc_cosine, decibels, log_sum_exp, logarithm, square_root
from soundgate.training.optimisers import adamw

PACKAGE = Path(__file__).parents[2] / "src" / "soundgate"
# Of MKL where PyTorch calls it, and not of the same bytes on every processor.
UNLIKE = set("sqrt sqrt_ log2 log10 acos arccos asin arcsin atan arctan tan cdist logsumexp".split())
OTHER_MODULES = {"np", "math", "numpy"}


def values(dtype):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(10_000, generator=generator, dtype=dtype).mul(30).sub(15).exp()


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 4e-7), (torch.float64, 1e-15)])
@pytest.mark.parametrize(
    ("own", "true"), [(square_root, torch.sqrt), (logarithm, torch.log), (decibels, lambda x: 10 * torch.log10(x))]
)
def test_functions_of_positive_numbers(own, true, dtype, near):
    numbers, exact = values(dtype), true(values(torch.float64) if dtype == torch.float64 else values(dtype).double())
    assert own(numbers).dtype == dtype
    torch.testing.assert_close(own(numbers).double(), exact, rtol=near, atol=near)


def test_the_root_of_nothing_is_nothing_and_has_a_gradient():
    numbers = torch.tensor([0.0, 4.0], requires_grad=True)
    square_root(numbers).sum().backward()
    assert square_root(numbers).tolist() == [0, 2] and numbers.grad.tolist() == [1, 0.25]


def test_gradients_are_those_of_the_functions_they_stand_for():
    numbers = (values(torch.float64)[:50] + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(square_root, numbers) and torch.autograd.gradcheck(logarithm, numbers)
    cosines = torch.linspace(-0.99, 0.99, 50, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(arc_cosine, cosines)
    torch.testing.assert_close(arc_cosine(cosines), torch.acos(cosines))


def test_logarithms_of_sums_of_exponentials_far_from_0():
    rows = torch.tensor([[1000.0, 1000.0, -1000.0], [-800.0, -801.0, -802.0]], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(log_sum_exp(rows, 1), torch.logsumexp(rows, 1))
    assert torch.autograd.gradcheck(lambda table: log_sum_exp(table, 1), rows)


def test_steps_of_the_optimiser_are_those_of_adam():
    weights = {own: torch.nn.Parameter(torch.linspace(-1, 1, 101)) for own in (True, False)}
    optimisers = (
        adamw([weights[True]], 0.1, eps=1e-5),
        torch.optim.Adam([weights[False]], 0.1, eps=1e-5, foreach=False),
    )
    for _ in range(20):
        for optimiser, weight in zip(optimisers, weights.values(), strict=True):
            optimiser.zero_grad()
            (weight - 0.3).square().sum().backward()
            optimiser.step()
    torch.testing.assert_close(weights[True], weights[False])


def unlike_calls(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute):
            of = ast.unparse(node.value)
            if node.attr in UNLIKE and of not in OTHER_MODULES or node.attr in ("Adam", "AdamW"):
                yield f"{node.lineno} {of}.{node.attr}"


@pytest.mark.parametrize("call", ["torch.sqrt(x)", "x.mean().sqrt()", "torch.optim.Adam(x)", "optim.AdamW(x)"])
def test_calls_are_seen_whose_bytes_depend_on_the_processor(call):
    assert list(unlike_calls(call)) and not list(unlike_calls("np.sqrt(x) + math.sqrt(y) + square_root(z)"))


def test_nothing_calls_functions_whose_bytes_depend_on_the_processor():
    files = [path for path in PACKAGE.rglob("*.py") if path.name not in ("arithmetic.py", "optimisers.py")]
    assert not [f"{path}:{call}" for path in files for call in unlike_calls(path.read_text())]
