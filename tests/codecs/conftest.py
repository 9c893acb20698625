"""Codecs with random weights, built once for all tests, and sounds to run through them."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from soundgate.codecs.mimi import MimiCodec, Settings
from soundgate.codecs.registry import load_codec
from soundgate.codecs.synthetic import speech_like
from tests.codecs.small import small_models

LYRA = Path(__file__).resolve().parents[3] / "shared" / "weights" / "lyra"
CASES = {
    "bands_75": ("bands", {"frame_rate": 75}),
    "bands_12.5": ("bands", {"frame_rate": 12.5}),
    "gain_shape_75": ("gain_shape", {"frame_rate": 75}),
    "gain_shape_12.5": ("gain_shape", {"frame_rate": 12.5}),
    "mimi_encoder": ("mimi", {"weights": "random", "latent_space": "encoder"}),
    "mimi_projected": ("mimi", {"weights": "random", "latent_space": "projected"}),
    "encodec": ("encodec", {"weights": "random"}),
    "lyra": ("lyra", {"n_codebooks": 16}),
    "lyra_published": ("lyra", {"weights": str(LYRA)}),
}


@pytest.fixture(autouse=True)
def one_thread():
    """Small products on one thread: on a busy machine several would mostly wait for each other."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="session")
def cases():
    """Codec name and settings of each case."""
    return CASES


@pytest.fixture(scope="session")
def tiny_lyra(tmp_path_factory):
    """Settings of codec lyra for small models of its signatures; skips where LiteRT is not."""
    if not find_spec("ai_edge_litert"):
        pytest.skip("no ai-edge-litert for this platform")
    from tests.codecs.tiny_lyra import write_tiny

    return write_tiny(tmp_path_factory.mktemp("lyra"))


@pytest.fixture(scope="session")
def load_case(request):
    """A codec of a case, built at its first use; but for the published one they are small versions of themselves."""
    built = {}

    def load(case: str):
        if case == "lyra_published" and not (LYRA.is_dir() and find_spec("ai_edge_litert")):
            pytest.skip("no shared/weights/lyra beside the repository, or no ai-edge-litert for this platform")
        if case not in built:
            name, settings = CASES[case]
            if case == "lyra":
                settings = settings | request.getfixturevalue("tiny_lyra")
            with small_models():
                built[case] = load_codec(name, settings)
        return built[case]

    return load


@pytest.fixture(scope="session")
def load_full(load_case):
    """A codec of a case as a user loads it, built at its first use; both of mimi's share one model."""
    built = {}

    def load(case: str):
        name, settings = CASES[case]
        if name in ("bands", "gain_shape", "lyra"):
            return load_case(case)
        if case == "mimi_projected":
            return MimiCodec(load("mimi_encoder").model, Settings(**settings))
        if case not in built:
            built[case] = load_codec(name, settings)
        return built[case]

    return load


@pytest.fixture
def small():
    """Whatever mimi and encodec the test itself loads is small."""
    with small_models():
        yield


@pytest.fixture(params=list(CASES))
def codec(request, load_case):
    return load_case(request.param)


@pytest.fixture(params=list(CASES))
def full_codec(request, load_full):
    """For what depends on how wide the layers are."""
    return load_full(request.param)


@pytest.fixture(scope="session")
def wav():
    """1.3 s of speech-like sound, [1, 1, 31333]: no whole number of frames of any codec."""
    return torch.from_numpy(speech_like(1.31, 24_000, seed=1)).float()[None, None, :31_333]


@pytest.fixture(scope="session")
def si_sdr_db():
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019, eq. 5)."""

    def measure(estimate: torch.Tensor, reference: torch.Tensor) -> float:
        estimate = estimate.flatten()[: reference.numel()].double()
        reference = reference.flatten().double()
        target = (estimate @ reference) / (reference @ reference) * reference
        return float(10 * torch.log10(target.square().sum() / (estimate - target).square().sum()))

    return measure


@pytest.fixture(scope="session")
def relative_error():
    def measure(found: torch.Tensor, expected: torch.Tensor) -> float:
        return float((found - expected).norm() / expected.norm())

    return measure
