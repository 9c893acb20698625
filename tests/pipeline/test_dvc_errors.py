"""What DVC cannot do on a machine is said in a line, before anything runs."""

import getpass
import os
import subprocess
import sys

import pytest

from soundgate.pipeline.dvc_errors import check_site_cache
from soundgate.runtime.errors import ConfigError
from tests.pipeline.repository import make_repository


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_SITE_CACHE_DIR", raising=False)
    return make_repository(tmp_path, {})


def configure(repository, folder):
    command = [sys.executable, "-m", "dvc", "config", "--local", "core.site_cache_dir", str(folder)]
    subprocess.run(command, cwd=repository, check=True, capture_output=True)


def refuse(name, makes, monkeypatch):
    """Have the system refuse to make a folder in another user's, as it does to anyone but root."""

    def refused(path, *args, **kwargs):
        if str(name) in os.fspath(path):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return makes(path, *args, **kwargs)

    monkeypatch.setattr(os, "makedirs", refused)


def test_a_folder_that_can_be_written_to_is_fine_and_stays_as_it_is(repository, tmp_path):
    configure(repository, tmp_path / "site")
    check_site_cache(repository)
    assert not [path for path in (tmp_path / "site/repo").glob("*/*") if path.name.startswith("tmp")]


@pytest.mark.parametrize("by", ["variable", "configuration"])
def test_a_folder_of_another_user_is_named_with_how_to_move_it(repository, tmp_path, monkeypatch, by):
    folder = tmp_path / "of-root"
    if by == "variable":
        monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(folder))
    else:
        configure(repository, folder)
    refuse(folder, os.makedirs, monkeypatch)
    with pytest.raises(ConfigError, match="of-root.*Permission denied.*--local core.site_cache_dir FOLDER") as caught:
        check_site_cache(repository)
    assert "DVC_SITE_CACHE_DIR" in str(caught.value) and "SOUNDGATE_SCRATCH" not in str(caught.value)


def test_a_file_in_its_place_and_a_place_that_cannot_be_are_refused(repository, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file/below", "/proc/nobody"):
        monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(folder))
        with pytest.raises(ConfigError, match="DVC_SITE_CACHE_DIR"):
            check_site_cache(repository)


def test_another_error_of_the_system_is_not_blamed_on_it(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    refuse(".dvc/tmp", os.makedirs, monkeypatch)
    monkeypatch.setattr("soundgate.pipeline.dvc_errors.Repo", lambda root: os.makedirs(root / ".dvc/tmp/x"))
    with pytest.raises(PermissionError):
        check_site_cache(repository)


def test_a_user_without_a_name_is_told_so(repository, monkeypatch):
    def unknown():
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", unknown)
    with pytest.raises(ConfigError, match="USER: .*export USER=me"):
        check_site_cache(repository)


def test_no_repository_is_dvcs_to_say(tmp_path):
    check_site_cache(tmp_path)
