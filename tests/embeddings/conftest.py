"""Embedders built once for all tests, CLAP from a folder with a small model saved by its own library."""

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve
from transformers import ClapAudioConfig, ClapConfig, ClapFeatureExtractor, ClapModel

from soundgate.embeddings.registry import load_embedder
from soundgate.runtime.randomness import keyed_generator

RATE = 48_000
TEXT = {"vocab_size": 8, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture(autouse=True)
def one_thread_on_the_cpu(monkeypatch):
    monkeypatch.setenv("SOUNDGATE_DEVICE", "cpu")
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="session")
def small_clap():
    """A function that returns a small ClapModel, untrained, and its feature extractor."""

    def build(projection_dim=512, fused=False):
        fusion = {"enable_fusion": True, "fusion_type": "aff_2d"} if fused else {}
        sizes = {"patch_embeds_hidden_size": 16, "hidden_size": 128, "depths": [1, 1, 1, 1]}
        audio = ClapAudioConfig(**sizes, num_attention_heads=[1, 2, 2, 4], **fusion)
        config = ClapConfig(text_config=TEXT, audio_config=audio.to_dict(), projection_dim=projection_dim)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = ClapModel(config).eval()
        return model, ClapFeatureExtractor(truncation="fusion" if fused else "rand_trunc")

    return build


@pytest.fixture(scope="session")
def clap_folder(small_clap, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clap")
    for part in small_clap():
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def fused_clap_folder(small_clap, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fused-clap")
    for part in small_clap(fused=True):
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def cases(clap_folder, fused_clap_folder):
    """Embedder name and settings of each case."""
    return {
        "acoustic": ("acoustic", {}),
        "clap": ("clap", {"weights": str(clap_folder)}),
        "clap_fused": ("clap", {"weights": str(fused_clap_folder)}),
    }


@pytest.fixture(params=["acoustic", "clap", "clap_fused"])
def case(request):
    return request.param


@pytest.fixture
def embedder(case, cases):
    return load_embedder(*cases[case])


@pytest.fixture(scope="session")
def noise():
    """The first samples of 3 s of white noise of RMS 0.1, by a name."""

    def draw(name, n_samples=3 * RATE):
        generator = keyed_generator(0, "test-probe", str(name))
        return (0.1 * generator.standard_normal(3 * RATE))[:n_samples].astype(np.float32)

    return draw


@pytest.fixture(scope="session")
def planted_room():
    """A room of known RT60: direct sound and an exponential tail 0 to 10 dB below it, drawn by a name."""

    def build(name, rt60_s=None):
        generator = keyed_generator(0, "test-room", str(name))
        rt60_s = rt60_s or float(np.exp(generator.uniform(np.log(0.2), np.log(1.6))))
        time_s = np.arange(round(1.3 * rt60_s * RATE)) / RATE
        tail = generator.standard_normal(len(time_s)) * 10 ** (-3 * time_s / rt60_s)
        tail[: round(generator.uniform(0.002, 0.02) * RATE)] = 0
        tail *= 10 ** (-generator.uniform(0, 10) / 20) / np.linalg.norm(tail)
        tail[0] = 1.0
        return tail.astype(np.float32), rt60_s

    return build


@pytest.fixture(scope="session")
def play():
    def convolve(probe, ir):
        return fftconvolve(probe, ir)[: len(probe)].astype(np.float32)

    return convolve
