"""Files that installed distributions hold, found without importing what they contain, held to a hash."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from torch import Tensor

from soundgate.runtime.errors import WeightsError
from soundgate.runtime.pins import require_weights


@dataclass(frozen=True)
class Packaged:
    """A file of a distribution.

    Args:
        distribution: its name.
        path: of the file, as the distribution lists it.
        sha256: of its bytes.
    """

    distribution: str
    path: str
    sha256: str

    def locate(self) -> Path:
        """Return where the file is.

        Raises:
            WeightsError: the distribution is not installed, or the file is missing or another.
        """
        remedy = "Run: make environment"
        subject = f"{self.distribution}: {self.path}"
        try:
            path = Path(distribution(self.distribution).locate_file(self.path))
        except PackageNotFoundError as error:
            raise WeightsError(subject, expected="an installed package", found="none", remedy=remedy) from error
        if not path.is_file():
            raise WeightsError(subject, expected="a file with weights", found="no such file", remedy=remedy)
        require_weights(path, self.sha256, subject)
        return path


def packaged_tensors(file: Packaged, key: str | None = None) -> dict[str, Tensor]:
    """Read named tensors, never unpickling, from a file of ``torch.save`` or from a key of the mapping it holds.

    Raises:
        WeightsError: see `Packaged.locate`.
    """
    content = torch.load(file.locate(), map_location="cpu", weights_only=True)
    return content[key] if key else content
