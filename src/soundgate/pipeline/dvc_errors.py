"""What keeps DVC from working on this machine, said in a line before it ends in a traceback."""

from __future__ import annotations

import getpass
import os
import sqlite3
import tempfile
from pathlib import Path

from dvc.config import Config
from dvc.dirs import site_cache_dir
from dvc.exceptions import DvcException
from dvc.repo import Repo

from soundgate.runtime.errors import ConfigError


def check_site_cache(root: Path) -> None:
    """Refuse a machine on which DVC cannot write to its site cache, which all users share by default.

    Args:
        root: the repository.

    Raises:
        ConfigError: the folder cannot be made or written to, or this user has no name, which DVC files it under.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError) as error:
        remedy = "Give one: export USER=me."
        raise ConfigError("USER", expected="a user's name, which DVC asks for", found="none", remedy=remedy) from error
    try:
        with Repo(root) as repo, tempfile.TemporaryFile(dir=repo.site_cache_dir):
            pass
    except DvcException:  # No repository, or no configuration that can be read: `dvc repro` says so.
        return
    except (OSError, sqlite3.Error) as error:
        folder = Path(site_cache_dir(Config(str(root / ".dvc"))["core"].get("site_cache_dir"))).absolute()
        if isinstance(error, OSError) and not _on_one_path(folder, error.filename):
            raise
        raise ConfigError(
            f"DVC's site cache, {folder}",
            expected="a folder that you can write to",
            found=getattr(error, "strerror", None) or str(error),
            remedy="Move it: dvc config --local core.site_cache_dir FOLDER, or set DVC_SITE_CACHE_DIR.",
        ) from error


def _on_one_path(folder: Path, filename: str | bytes | None) -> bool:
    """Return whether a file is in the folder, or the folder in it."""
    if filename is None:
        return False
    other = Path(os.fsdecode(filename)).absolute()
    return other.is_relative_to(folder) or folder.is_relative_to(other)
