"""What tests of `soundgate edit` stand on: random models, a folder to work in, pictures, warnings."""

import logging

import pytest

from soundgate.tracks.editor.editing import command
from soundgate.tracks.editor.editing.picture import edit_picture
from tests.pipeline_file import ROOT
from tests.tracks.editor.tiny_models import save_tiny_models


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return save_tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").symlink_to(ROOT / "params.yaml")
    # A picture takes as long as the rest of an edit; `drawn` has it drawn.
    monkeypatch.setattr(command, "edit_picture", lambda path, *_: path.touch())
    return tmp_path


@pytest.fixture
def drawn(work, monkeypatch):
    monkeypatch.setattr(command, "edit_picture", edit_picture)


@pytest.fixture
def warnings(caplog):
    logger = logging.getLogger("soundgate")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)
