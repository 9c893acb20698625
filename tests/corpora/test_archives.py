"""Archives are unpacked whole, inside their folder, or not at all."""

import errno
import gzip
import io
import json
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest

from soundgate.corpora.archives import unpack
from soundgate.runtime.errors import CorpusError
from tests.corpora import hostile_archives

NOISE = np.random.default_rng(0).bytes(300_000)


def archive(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                tar.addfile(info)
    return path


def special(kind, target=""):
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def leaves_nothing(tmp_path, path, reason, **limits):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CorpusError, match=reason):
        unpack(path, tmp_path / "out", **limits)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_good_archive(tmp_path, mode):
    path = archive(tmp_path / "a", {"x": special(tarfile.DIRTYPE), "x/y/z.bin": NOISE, "e": b""}, mode)
    out = unpack(path, tmp_path / "deep" / "out")
    assert {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()} == {
        "x/y/z.bin": NOISE,
        "e": b"",
    }
    path.unlink()
    assert unpack(path, out) == out


def test_leftovers_of_a_killed_run_are_cleared(tmp_path):
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "old").touch()
    out = unpack(archive(tmp_path / "a", {"new": b"1"}), tmp_path / "out")
    assert [p.name for p in out.iterdir()] == ["new"]
    assert not (tmp_path / ".out.partial").exists()


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"ok": b"1", "../escape": b"2"}, "escape"),
        ({"a/../../escape": b"2"}, "escape"),
        ({"/tmp/soundgate-absolute": b"2"}, "absolute"),
        ({"C:\\escape": b"2"}, "escape"),
        ({"..\\escape": b"2"}, "escape"),
        ({"link": special(tarfile.SYMTYPE, "../../outside")}, "a link"),
        ({"link": special(tarfile.SYMTYPE, "/etc"), "link/passwd": b"2"}, "a link"),
        ({"link": special(tarfile.LNKTYPE, "/etc/passwd")}, "a link"),
        ({"device": special(tarfile.CHRTYPE)}, "a device"),
        ({"pipe": special(tarfile.FIFOTYPE)}, "a device"),
        ({"file": b"1", "file/below": b"2"}, "corrupt"),
    ],
)
def test_unsafe_members_are_refused(tmp_path, members, reason):
    leaves_nothing(tmp_path, archive(tmp_path / "a", members), reason)


def test_a_path_twice_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a", "w:gz") as tar:
        for content in (b"1", b"2"):
            info = tarfile.TarInfo("same")
            info.size = 1
            tar.addfile(info, io.BytesIO(content))
    leaves_nothing(tmp_path, tmp_path / "a", "corrupt: .*exists")


def test_bombs_are_refused_before_they_are_written(tmp_path):
    bomb = archive(tmp_path / "bomb", {"small": b"1", "zeros": bytes(20_000_000)})
    assert bomb.stat().st_size < 30_000
    leaves_nothing(tmp_path, bomb, "20000001 bytes at member 2", max_bytes=10_000_000)
    many = archive(tmp_path / "many", {str(k): b"" for k in range(50)})
    leaves_nothing(tmp_path, many, "at member 41", max_members=40)


def test_corrupt_archives_are_refused(tmp_path):
    good = archive(tmp_path / "a", {"x": NOISE, "y": NOISE[::-1]}).read_bytes()
    path = tmp_path / "broken"
    for content in (good[:-5], good[: len(good) // 2], b"", b"no archive", good[:-8] + b"\0" * 8):
        path.write_bytes(content)
        leaves_nothing(tmp_path, path, "corrupt")
    tar = bytearray(gzip.decompress(good))
    tar[512 + 300_032 + 10] ^= 0xFF  # the second member's header: its checksum fails
    path.write_bytes(gzip.compress(bytes(tar)))
    leaves_nothing(tmp_path, path, "corrupt: data past its end")
    path.unlink()
    leaves_nothing(tmp_path, path, "No such file")


def zipped(path, members, kind=0):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, kind << 16
            packed.writestr(info, content)
    return path


def test_a_good_zip(tmp_path):
    path = zipped(tmp_path / "a.zip", {"x/": b"", "x/y/z.bin": NOISE, "e": b""}, stat.S_IFREG)
    out = unpack(path, tmp_path / "deep" / "out")
    found = {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert found == {"x/y/z.bin": NOISE, "e": b""}


@pytest.mark.parametrize(
    ("members", "kind", "reason"),
    [
        ({"ok": b"1", "../escape": b"2"}, 0, "escape"),
        ({"/tmp/soundgate-absolute": b"2"}, 0, "absolute"),
        ({"..\\escape": b"2"}, 0, "escape"),
        ({"link": b"/etc/passwd"}, stat.S_IFLNK, "a link"),
        ({"pipe": b""}, stat.S_IFIFO, "a device"),
        ({"file": b"1", "file/below": b"2"}, 0, "corrupt"),
    ],
)
def test_unsafe_members_of_a_zip_are_refused(tmp_path, members, kind, reason):
    leaves_nothing(tmp_path, zipped(tmp_path / "a", members, kind), reason)


def test_zip_bombs_and_corrupt_zips_are_refused(tmp_path):
    bomb = zipped(tmp_path / "bomb", {"small": b"1", "zeros": bytes(20_000_000)})
    assert bomb.stat().st_size < 30_000
    leaves_nothing(tmp_path, bomb, "20000001 bytes at member 2", max_bytes=10_000_000)
    leaves_nothing(tmp_path, bomb, "at member 2", max_members=1)
    good = zipped(tmp_path / "good", {"x": NOISE}).read_bytes()
    flipped = bytearray(good)
    flipped[150_000] ^= 0xFF
    liar = good.replace(len(NOISE).to_bytes(4, "little"), (1_000).to_bytes(4, "little"))
    encrypted = bytearray(good)
    encrypted[good.rindex(b"PK\x01\x02") + 8] |= 1
    encrypted[6] |= 1
    path = tmp_path / "broken"
    for content in (good[:-5], good[: len(good) // 2], bytes(flipped), liar, bytes(encrypted)):
        path.write_bytes(content)
        leaves_nothing(tmp_path, path, "corrupt")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """What came of every attack, one after the other in a process of little memory that may write small files only."""
    folder = tmp_path_factory.mktemp("hostile")
    command = [sys.executable, hostile_archives.__file__, str(folder)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize(("name", "reason"), [(name, reason) for name, (_, reason) in hostile_archives.ATTACKS.items()])
def test_hostile_archives_are_refused_in_little_memory(outcomes, name, reason):
    told, left = outcomes
    assert left == []
    assert told[name].startswith("CorpusError: ") and re.search(reason, told[name]), told[name]


def test_unusual_archives_that_harm_nobody_are_unpacked(tmp_path):
    path = tmp_path / "a"
    long_name = "/".join(["é" * 60] * 5)
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with tarfile.open(path, "w:xz", format=form, pax_headers={"comment": "0" * 40}) as tar:
            for name in ("./", "./a/", "./a/", f"./{long_name}", "./a/b", "./a/B c"):
                info = tarfile.TarInfo(name)
                info.mtime, info.type = 1.5, tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
                info.size = 0 if info.isdir() else 512
                tar.addfile(info, io.BytesIO(bytes(512)))
        out = unpack(path, tmp_path / f"out{form}")
        found = {p.relative_to(out).as_posix(): p.stat().st_size for p in out.rglob("*") if p.is_file()}
        assert found == {long_name: 512, "a/b": 512, "a/B c": 512}
    silence = archive(tmp_path / "silence", {"silence.wav": bytes(60_000_000)}, "w:bz2")
    assert (unpack(silence, tmp_path / "silent") / "silence.wav").stat().st_size == 60_000_000
    path.write_bytes(b"".join(gzip.compress(part) for part in (tarfile.TarInfo("x").tobuf(), bytes(10_240))))
    assert (unpack(path, tmp_path / "parts") / "x").is_file()
    inner = hostile_archives.zipped({"x": bytes(1000)})
    path.write_bytes(hostile_archives.zipped({"inner.zip": inner}, comment=b"a comment"))
    assert (unpack(path, tmp_path / "nested") / "inner.zip").read_bytes() == inner


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_no_more_is_unpacked_than_there_is_room_for(tmp_path, monkeypatch, form):
    members = {"a": NOISE, "b": NOISE}
    path = archive(tmp_path / "a", members) if form == "tar" else zipped(tmp_path / "a", members)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**28 + 299_999))
    leaves_nothing(tmp_path, path, "room for [36]00000 bytes; found 299999 free")


def test_a_disk_that_fills_up_is_not_called_a_corrupt_archive(tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    leaves_nothing(tmp_path, archive(tmp_path / "a", {"a": NOISE}), "room for its content; found a full disk")
