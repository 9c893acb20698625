"""Whatever lies in a folder is used, named with a reason, or counted as no audio; nothing hangs."""

import os
import shutil
import socket
import subprocess

import pytest

from soundgate.corpora.walking import find_files


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def test_unused_audio_is_named_and_texts_are_counted(folder):
    used = ["a.wav", "b.FLAC", "c.wave", "d.BWF", "e.bw64", "f.nist"]
    refused = [f"m.{end}" for end in "m4a aac wma webm amr mp2 3gp sofa mat h5 mp4 zip part xyz".split()] + ["noend"]
    texts = "t.txt t.csv t.tsv t.json t.lab t.TextGrid LICENSE README t.jpg t.pdf t.md t.xml t.yaml t.cue t.log t.m3u"
    for name in [*used, *refused, *texts.split(), ".DS_Store", ".hidden.wav"]:
        (folder / name).touch()
    files = find_files(folder)
    assert [path.name for path in files.audio] == used
    assert [one.path.name for one in files.refused] == sorted(refused)
    assert files.no_audio.total() == len(texts.split())
    reasons = {one.path.suffix: one.reason for one in files.refused}
    assert "ffmpeg -i m.m4a m.wav" in reasons[".m4a"] and "sofar" in reasons[".sofa"] and "unpack" in reasons[".zip"]


@pytest.mark.parametrize(
    "name", [b"my memo.m4a", b"-x.m4a", b"it's $HOME.m4a", b"caf\xe9.m4a", b"a\nb.m4a", b"10:30.m4a"]
)
def test_the_command_names_the_file_as_a_shell_reads_it(folder, name):
    (folder / os.fsdecode(name)).touch()
    (one,) = find_files(folder).refused
    words = one.reason.partition("ffmpeg -i ")[2]
    shown = subprocess.run([shutil.which("bash"), "-c", f"printf '%s\\0' {words}"], capture_output=True, check=True)
    assert shown.stdout.split(b"\0")[0].removeprefix(b"./") == name
    # ffmpeg takes what begins with - for an option, and what stands before a colon for a protocol.
    assert shown.stdout.startswith(b"./") == (name.startswith(b"-") or b":" in name)


def test_what_is_no_file_is_named_and_never_opened(folder):
    os.mkfifo(folder / "pipe.wav")
    (folder / "gone.wav").symlink_to("/mnt/gone/u9.wav")
    (folder / "loop.wav").symlink_to("loop.wav")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "socket.wav"))
        files = find_files(folder)
    assert files.audio == []
    assert {one.path.name: one.reason for one in files.refused} == {
        "gone.wav": "no such file: a link to /mnt/gone/u9.wav",
        "loop.wav": "no such file: a link that leads to itself",
        "pipe.wav": "a named pipe, not a file",
        "socket.wav": "a socket, not a file",
    }


def test_a_folder_that_cannot_be_read_is_named(folder, monkeypatch):
    (folder / "closed").mkdir()
    (folder / "a.wav").touch()
    listdir = os.listdir

    def refuse(path):
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    files = find_files(folder)
    assert [path.name for path in files.audio] == ["a.wav"]
    assert [(one.path.name, one.reason) for one in files.refused] == [
        ("closed", "a folder that cannot be read: Permission denied")
    ]
