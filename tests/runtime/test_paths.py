"""Any path has one printable text, and the file can be opened from it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundgate.runtime.errors import AudioError
from soundgate.runtime.paths import path_from_text, path_to_text, printable


@given(st.binary(min_size=1, max_size=60).filter(lambda name: b"\0" not in name and b"/" not in name))
def test_every_name_of_bytes_comes_back_from_printable_utf8(name):
    path = Path("folder", os.fsdecode(name))
    text = path_to_text(path)
    assert path_from_text(text) == path
    assert "\n" not in text and text.encode("utf-8").decode("utf-8") == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"plain.wav", "plain.wav"),
        ("jörg 語音.wav".encode(), "jörg 語音.wav"),
        (b"caf\xe9.wav", r"caf\xe9.wav"),
        (b"a\nb\x1b[31m", r"a\x0ab\x1b[31m"),
        (rb"a\xe9", r"a\\xe9"),
    ],
)
def test_known_texts(name, text):
    assert path_to_text(os.fsdecode(name)) == text
    assert os.fsencode(path_from_text(text)) == name


def test_errors_name_such_files_printably():
    error = AudioError(Path(os.fsdecode(b"caf\xe9.wav")), expected="audio", found="nothing")
    assert str(error) == r"caf\xe9.wav: expected audio; found nothing."
    assert printable("two\\parts") == "two\\parts"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_nothing_printed_ends_a_command(encoding):
    program = (
        "import click; from rich.console import Console; from rich.table import Table\n"
        "from soundgate.runtime.console import logger, set_up_logging\n"
        "set_up_logging(); name = 'caf\\udce9 \\u2264 \\u8a9e'; logger.info('%s', name)\n"
        "print(name); click.echo(name); click.secho(name, fg='red', err=True)\n"
        "table = Table(name); table.add_row(name); Console().print(table); print('end')"
    )
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    assert done.stdout.endswith(b"end\n") and rb"caf\udce9" in done.stdout
