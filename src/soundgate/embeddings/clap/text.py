"""CLAP's text side: what turns prompts into tokens, and whether the weights hold what reads them."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import hf_hub_download
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from soundgate.embeddings.clap.model import REPOSITORY, Clap, cached_or_asked, first_line, named_missing
from soundgate.runtime.errors import WeightsError

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
_REMEDY = f'Set embedder.clap.weights to "hub", or to a folder holding all the files of {REPOSITORY}.'


def require_text_side(clap: Clap) -> None:
    """Refuse weights that cannot compare audio with text.

    Raises:
        WeightsError: they lack the text side or the scale of the logits, or are random.
    """
    if clap.source == "random":
        raise WeightsError("random", expected="a text side", found="random weights, which have none", remedy=_REMEDY)
    if clap.lacking:
        expected = "weights with a text side and logit_scale_a"
        raise WeightsError(clap.source, expected=expected, found=named_missing(clap.lacking), remedy=_REMEDY)


def read_tokenizer(clap: Clap) -> PreTrainedTokenizerBase:
    """Read the tokenizer from where the weights are from.

    Args:
        clap: see `Clap`.

    Returns:
        The tokenizer.

    Raises:
        WeightsError: there is no text side (see `require_text_side`), or the tokenizer cannot be found or read.
    """
    require_text_side(clap)
    folder = cached_or_asked(clap.revision, _snapshot) if clap.source == REPOSITORY else Path(clap.source)
    missing = [name for name in TOKENIZER_FILES if not (folder / name).is_file()]
    if missing:
        found = f"without {', '.join(missing)}"
        raise WeightsError(folder, expected="a folder with a tokenizer", found=found, remedy=_REMEDY)
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    # The library parses the file in Rust, which raises Exception itself.
    except Exception as error:
        raise WeightsError(folder, expected="a tokenizer", found=first_line(error), remedy=_REMEDY) from error


def _snapshot(revision: str, local_files_only: bool) -> Path:
    options = {"revision": revision, "local_files_only": local_files_only}
    return Path([hf_hub_download(REPOSITORY, name, **options) for name in TOKENIZER_FILES][0]).parent
