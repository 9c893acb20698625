"""CLAP with weights from the hub, a folder, or random ones; read as data, never unpickled."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from safetensors import SafetensorError
from transformers import ClapAudioConfig, ClapConfig, ClapFeatureExtractor, ClapModel

from soundgate.embeddings.base import DIM
from soundgate.embeddings.clap.settings import Settings
from soundgate.runtime.console import logger
from soundgate.runtime.errors import WeightsError
from soundgate.runtime.files import sha256_of
from soundgate.runtime.pins import require_weights
from soundgate.runtime.randomness import keyed_seed

REPOSITORY = "laion/larger_clap_music_and_speech"
CONFIG_FILES = ("config.json", "preprocessor_config.json")
WEIGHTS_FILES = ("model.safetensors", "pytorch_model.bin")


class Clap(NamedTuple):
    """A model, what prepares its input, and where both are from.

    Args:
        model: frozen, in evaluation mode, on the CPU.
        extractor: makes log-mel spectrograms.
        source: the repository, the folder as given, or ``"random"``.
        revision: the commit, the SHA-256 of the weights file, or ``"random"``.
        lacking: names of the tensors the weights file did not hold, none of them of the audio side.
    """

    model: ClapModel
    extractor: ClapFeatureExtractor
    source: str
    revision: str
    lacking: tuple[str, ...] = ()


def build_clap(settings: Settings) -> Clap:
    """Build CLAP.

    Args:
        settings: see `Settings`.

    Returns:
        The model and what belongs to it.

    Raises:
        WeightsError: weights that cannot be found, read safely, or fitted to the architecture, or an embedding
            that is not 512-D.
    """
    if settings.weights == "random":
        clap = Clap(_random_model(), _random_extractor(), "random", "random")
    elif settings.weights == "hub":
        folder = cached_or_asked(settings.revision, _snapshot)
        require_weights(_weights_file(folder), settings.sha256, f"{REPOSITORY}@{settings.revision}")
        model, lacking = _read_model(folder)
        # The cache names a snapshot's folder by its commit.
        clap = Clap(model, _read_extractor(folder), REPOSITORY, folder.name, lacking)
    else:
        folder = Path(settings.weights)
        revision = sha256_of(_weights_file(folder))
        model, lacking = _read_model(folder)
        clap = Clap(model, _read_extractor(folder), settings.weights, revision, lacking)
    found = clap.model.config.projection_dim
    if found != DIM:
        raise WeightsError(clap.source, expected=f"embeddings of {DIM} dimensions", found=f"projection_dim {found}")
    clap.model.requires_grad_(False).eval()
    return clap


def cached_or_asked(revision: str, fetch: Callable[[str, bool], Path]) -> Path:
    """Return what ``fetch(revision, local_files_only)`` finds in the hub's cache, else what it downloads.

    Raises:
        WeightsError: it is not in the cache and the hub cannot be reached.
    """
    try:
        return fetch(revision, True)
    except EntryNotFoundError:
        logger.info("%s is not in the cache: asking the hub", REPOSITORY)
    try:
        return fetch(revision, False)
    except (EntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        subject = f"{REPOSITORY}@{revision}"
        remedy = (
            f"Check the network (HTTPS_PROXY, HF_ENDPOINT), or run once where there is one: hf download {REPOSITORY} "
            f"--revision {revision}; then bring its cache (HF_HOME) here, or set embedder.clap.weights to a folder "
            "with its files. Embedder acoustic needs none."
        )
        found = f"{type(error).__name__}: {first_line(error)}"
        raise WeightsError(subject, expected="a download or a cached copy", found=found, remedy=remedy) from error


def _snapshot(revision: str, local_files_only: bool) -> Path:
    options = {"revision": revision, "local_files_only": local_files_only}
    for name in CONFIG_FILES:
        config = hf_hub_download(REPOSITORY, name, **options)
    try:
        hf_hub_download(REPOSITORY, WEIGHTS_FILES[0], **options)
    except EntryNotFoundError:
        hf_hub_download(REPOSITORY, WEIGHTS_FILES[1], **options)
    return Path(config).parent


def _weights_file(folder: Path) -> Path:
    missing = [name for name in CONFIG_FILES if not (folder / name).is_file()]
    weights = [folder / name for name in WEIGHTS_FILES if (folder / name).is_file()]
    if missing or not weights:
        found = f"without {', '.join(missing or WEIGHTS_FILES)}" if folder.is_dir() else "no such folder"
        expected = f"a folder with {', '.join(CONFIG_FILES)} and {' or '.join(WEIGHTS_FILES)}"
        remedy = f'Set embedder.clap.weights to "hub", or to a folder holding the files of {REPOSITORY}.'
        raise WeightsError(folder, expected=expected, found=found, remedy=remedy)
    return weights[0]


def _read_model(folder: Path) -> tuple[ClapModel, tuple[str, ...]]:
    path = _weights_file(folder)
    try:
        model, report = ClapModel.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
            use_safetensors=path.name == WEIGHTS_FILES[0],
            weights_only=True,
        )
    except pickle.UnpicklingError as error:
        remedy = "Convert it to model.safetensors; nothing is ever unpickled here."
        found = f"a pickle that would run code, or no pickle ({first_line(error)})"
        raise WeightsError(path, expected="tensors only", found=found, remedy=remedy) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        found = f"unusable weights ({first_line(error)})"
        raise WeightsError(
            path, expected="the weights of a ClapModel", found=found, remedy="Fetch them again."
        ) from error
    _own_memory(model)
    lacking = tuple(sorted(report["missing_keys"]))
    missing = [name for name in lacking if name.startswith("audio_")]
    if missing:
        raise WeightsError(path, expected="the weights of a ClapModel", found=named_missing(missing))
    return model, lacking


def _own_memory(model: ClapModel) -> None:
    """Copy the weights to where PyTorch allocates.

    Left where they lie in a mapped file, they are aligned as its header happens to be long, and other instructions
    serve other alignments: the last digits would depend on the format of the file.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data = tensor.data.clone()


def named_missing(names: Sequence[str]) -> str:
    """Return what is wrong with weights that lack tensors of these names."""
    return f"{len(names)} tensors missing, among them {', '.join(names[:3])}"


def _read_extractor(folder: Path) -> ClapFeatureExtractor:
    try:
        return ClapFeatureExtractor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        path = folder / CONFIG_FILES[1]
        raise WeightsError(path, expected="settings of a feature extractor", found=first_line(error)) from error


def _random_model() -> ClapModel:
    """Return the hub's model as to audio, untrained; its text side, which has no tokenizer, is as small as can be."""
    audio = ClapAudioConfig(patch_embeds_hidden_size=128, hidden_size=1024, depths=[2, 2, 12, 2])
    text = {"vocab_size": 8, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    config = ClapConfig(text_config=text | {"num_attention_heads": 2}, audio_config=audio.to_dict())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(keyed_seed(0, "embedder-random-weights", "clap"))
        return ClapModel(config)


def _random_extractor() -> ClapFeatureExtractor:
    return ClapFeatureExtractor(truncation="rand_trunc", frequency_min=50)


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, cut to 160 characters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
