"""Model weights: from a hub, from a local file, or random ones for tests; read as data, never unpickled."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from soundgate.runtime.download import download
from soundgate.runtime.errors import DownloadError, WeightsError
from soundgate.runtime.files import atomic_path
from soundgate.runtime.pins import require_weights
from soundgate.runtime.randomness import keyed_seed

MAX_BYTES = 2**31  # of a file at an address
SAFETENSORS_SUFFIXES = (".safetensors", ".sft", ".sfts")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read named tensors from a local file.

    Args:
        path: a safetensors file (by suffix), or a file of ``torch.save`` holding tensors and plain
            containers, either the mapping itself or under ``model`` or ``state_dict``.

    Returns:
        Names and CPU tensors.

    Raises:
        WeightsError: no such file, a damaged one, one that needs unpickling, or one that is not named
            tensors.
    """
    path = Path(path)
    if not path.is_file():
        remedy = 'Set weights to "hub", or to the path of a downloaded file.'
        raise WeightsError(path, expected="a file with model weights", found="no such file", remedy=remedy)
    try:
        if path.suffix in SAFETENSORS_SUFFIXES:
            return load_file(path, device="cpu")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        remedy = "Save the state dict alone, best as safetensors; nothing is ever unpickled here."
        found = f"a pickle that would run code, or no pickle ({_first_line(error)})"
        raise WeightsError(path, expected="tensors only", found=found, remedy=remedy) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError) as error:
        found = f"an unreadable file ({_first_line(error)})"
        raise WeightsError(path, expected="a whole weights file", found=found, remedy="Fetch it again.") from error
    return _named_tensors(content, path)


def save_weights(weights: Mapping[str, Tensor], path: str | Path) -> None:
    """Write named tensors as safetensors, whole or not at all."""
    with atomic_path(path) as temporary:
        save_file({name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}, temporary)


def fit_weights(model: nn.Module, weights: Mapping[str, Tensor], source: str | Path) -> None:
    """Put weights into a model that must match them name by name and shape by shape.

    Args:
        model: the architecture.
        weights: names and tensors.
        source: what the error is about.

    Raises:
        WeightsError: names that are missing or too many, or shapes that differ; it says which.
    """
    try:
        model.load_state_dict(dict(weights), strict=True)
    except RuntimeError as error:
        reasons = [line.strip()[:200] for line in str(error).splitlines()[1:]]
        expected = f"the weights of {type(model).__name__}"
        raise WeightsError(
            source,
            expected=expected,
            found=" ".join(reasons),
            remedy="This file belongs to another architecture.",
        ) from error


def hub_file(repository: str, filename: str, revision: str, sha256: str | None) -> Path:
    """Return a file of a Hugging Face repository, downloaded once into that library's cache and checked every time.

    Args:
        repository: its name.
        filename: in the repository.
        revision: the commit.
        sha256: of the file, see `require_weights`.

    Raises:
        WeightsError: the hub cannot be reached and the file is not in the cache, or it is another file.
    """
    subject = f"{repository}/{filename}@{revision}"
    try:
        path = Path(hf_hub_download(repository, filename, revision=revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise _unreachable(subject, error) from error
    require_weights(path, sha256, subject)
    return path


def hub_url(url: str, sha256: str, folder: str = "checkpoints") -> Path:
    """Return the file of an address, downloaded once into PyTorch's cache and checked every time.

    Args:
        url: its address, whose last part is its name.
        sha256: of the file.
        folder: of the cache.

    Raises:
        WeightsError: the address cannot be reached, or gives another file.
    """
    path = Path(torch.hub.get_dir()) / folder / PurePosixPath(url).name
    try:
        return download(url, path, f"sha256:{sha256}", attempts=3, max_size=MAX_BYTES)
    except (DownloadError, OSError) as error:
        raise _unreachable(url, error) from error


@contextmanager
def keyed_random_state(name: str) -> Iterator[None]:
    """Give PyTorch's CPU generator a state keyed by a name, and the state it had back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(keyed_seed(0, "codec-random-weights", name))
        yield


def _named_tensors(content: object, source: str | Path) -> dict[str, Tensor]:
    for key in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    kind = type(content).__name__
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(source, expected="a mapping of names to tensors", found=f"a {kind}")
    return dict(content)


def _unreachable(subject: str, error: Exception) -> WeightsError:
    remedy = (
        "Check the network (HTTPS_PROXY, HF_ENDPOINT), or fetch the file elsewhere and set weights to its "
        "path (lyra: to the folder of its three files); codec gain_shape needs none."
    )
    reason = error.found if isinstance(error, DownloadError) else f"{type(error).__name__}: {_first_line(error)}"
    return WeightsError(subject, expected="a download or a cached copy", found=reason, remedy=remedy)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
