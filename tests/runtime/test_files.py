import hashlib
import os
import signal
import subprocess
import sys

import pytest

from soundgate.runtime.files import atomic_path, read_json, sha256_of, write_json, write_text

HANG_WHILE_WRITING = """
import signal, sys
from soundgate.runtime.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    signal.pause()
"""


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="power cut"), atomic_path(path) as temporary:
        temporary.write_text("new, but half")
        raise RuntimeError("power cut")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    writer = subprocess.Popen([sys.executable, "-c", HANG_WHILE_WRITING, path], stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == "writing\n"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"


def test_the_old_content_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent and temporary.suffix == ".txt"
    assert path.read_text() == "new"


def test_json_refuses_nan_and_keeps_order(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": [1.5, None]})
    assert path.read_text() == '{\n  "b": 1,\n  "a": [\n    1.5,\n    null\n  ]\n}\n'
    assert list(read_json(path)) == ["b", "a"]
    with pytest.raises(ValueError):
        write_json(path, {"b": float("nan")})
    assert read_json(path)["b"] == 1


def test_sha256_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(256)) * 5000)
    assert sha256_of(path) == hashlib.sha256(bytes(range(256)) * 5000).hexdigest()
