import errno
import os
import re

import pytest
import torch
from click.testing import CliRunner

from soundgate.runtime.errors import CorpusError
from soundgate.runtime.stage import deterministic_torch, input_option, output_option, stage_command
from tests.pipeline_file import stage_entries, stage_module


@stage_command("track-copy")
@input_option("text", "What to copy.")
@output_option("out", "Where to.")
def copy(text, out):
    """Copy a text that is not empty."""
    content = text.read_text()
    if not content:
        raise CorpusError(text, expected="a text", found="nothing", remedy="Write one.")
    out.write_text(content[:4])


def test_a_stage_reads_and_writes_the_paths_it_is_given(tmp_path):
    (tmp_path / "in.txt").write_text("some text")
    done = CliRunner().invoke(copy, ["--text", str(tmp_path / "in.txt"), "--out", str(tmp_path / "out.txt")])
    assert done.exit_code == 0
    assert (tmp_path / "out.txt").read_text() == "some"


def test_an_error_a_user_can_act_on_is_one_line_and_exit_code_1(tmp_path):
    (tmp_path / "in.txt").write_text("")
    failed = CliRunner().invoke(copy, ["--text", str(tmp_path / "in.txt"), "--out", str(tmp_path / "out.txt")])
    assert failed.exit_code == 1
    lines = [line for line in failed.output.splitlines() if "INFO" not in line]
    assert lines == [f"CorpusError: {tmp_path / 'in.txt'}: expected a text; found nothing. Write one."]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EROFS, "Work in"),
        (errno.EACCES, "Allow reading and writing"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EIO, "see what is wrong there"),
    ],
)
@pytest.mark.parametrize("scratch", ["elsewhere", "."])
def test_a_disk_that_cannot_be_written_to_is_one_line(tmp_path, monkeypatch, number, advice, scratch):
    monkeypatch.setenv("SOUNDGATE_SCRATCH", str(tmp_path / scratch))

    def full(path, text):
        raise OSError(number, os.strerror(number), str(path))

    (tmp_path / "in.txt").write_text("some text")
    monkeypatch.setattr("pathlib.Path.write_text", full)
    failed = CliRunner().invoke(copy, ["--text", str(tmp_path / "in.txt"), "--out", str(tmp_path / "out.txt")])
    lines = [line for line in failed.output.splitlines() if "INFO" not in line]
    assert failed.exit_code == 1 and len(lines) == 1
    assert lines[0].startswith(f"{tmp_path / 'out.txt'}: {os.strerror(number)}") and advice in lines[0]
    # Only what is in the work folders is helped by moving them.
    assert ("SOUNDGATE_SCRATCH" in lines[0]) == (scratch == ".")


def test_a_defect_of_ours_keeps_its_traceback(tmp_path):
    (tmp_path / "in.txt").write_bytes(b"\xff")
    failed = CliRunner().invoke(copy, ["--text", str(tmp_path / "in.txt"), "--out", str(tmp_path / "out.txt")])
    assert isinstance(failed.exception, UnicodeDecodeError)


def test_a_missing_input_is_named(tmp_path):
    failed = CliRunner().invoke(copy, ["--text", str(tmp_path / "none.txt"), "--out", "out.txt"])
    assert failed.exit_code == 2 and "none.txt" in failed.output


def test_pytorch_repeats_itself():
    before = torch.are_deterministic_algorithms_enabled()
    try:
        draws = []
        for _ in range(2):
            deterministic_torch(3)
            draws.append(torch.randn(4))
        assert torch.equal(*draws) and torch.are_deterministic_algorithms_enabled()
        deterministic_torch(4)
        assert not torch.equal(torch.randn(4), draws[0])
    finally:
        torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("stage", stage_entries())
def test_the_options_of_the_command_are_those_the_pipeline_passes(stage):
    module = __import__(stage_module(stage), fromlist=["main"])
    passed = set(re.findall(r"--([\w-]+)", stage_entries()[stage]["cmd"]))
    assert passed == {option.name.replace("_", "-") for option in module.main.params if option.required}
    assert {option.name for option in module.main.params if not option.required} <= {"origin"}
    assert module.main.name == stage
    assert module.main.help and all(option.help for option in module.main.params)
