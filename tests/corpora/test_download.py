"""A download is whole and right, or it is not there."""

import hashlib
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from soundgate.corpora.download import download
from soundgate.runtime.errors import DownloadError
from tests.corpora.http_server import Served, serving
from tests.waiting import wait_until

CONTENT = np.random.default_rng(0).bytes(1_000_000)
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


def fetch(tmp_path, served, checksum=MD5, size=None, attempts=3):
    with serving({"/file": served}) as address:
        return download(f"{address}/file", tmp_path / "file.bin", checksum, size, attempts, backoff_s=0.001)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("checksum", [MD5, SHA256, SHA256.replace(SHA256[7:], SHA256[7:].upper())])
@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_plain_download(tmp_path, checksum, size):
    served = Served(CONTENT)
    assert fetch(tmp_path, served, checksum, size).read_bytes() == CONTENT
    assert names(tmp_path) == ["file.bin"]
    fetch(tmp_path, served, checksum, size)
    assert len(served.requests) == 1


def test_a_file_that_went_wrong_later_is_fetched_again(tmp_path):
    (tmp_path / "file.bin").write_bytes(b"other")
    assert fetch(tmp_path, Served(CONTENT)).read_bytes() == CONTENT


def test_dropped_connections_are_taken_up_where_they_ended(tmp_path):
    served = Served(CONTENT, drop_after=300_000)
    assert fetch(tmp_path, served).read_bytes() == CONTENT
    assert served.requests == ["", "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_an_earlier_part_is_taken_up(tmp_path):
    (tmp_path / "file.bin.partial").write_bytes(CONTENT[:400_000])
    served = Served(CONTENT)
    assert fetch(tmp_path, served).read_bytes() == CONTENT
    assert served.requests == ["bytes=400000-"]


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_whole_part_is_only_checked(tmp_path, size):
    (tmp_path / "file.bin.partial").write_bytes(CONTENT)
    served = Served(CONTENT)
    assert fetch(tmp_path, served, size=size).read_bytes() == CONTENT
    assert served.requests == ([] if size else ["bytes=1000000-"])


@pytest.mark.parametrize("part", [b"x" * 1_000, CONTENT + b"more", b"x" * len(CONTENT)])
@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_wrong_part_is_thrown_away(tmp_path, part, size):
    (tmp_path / "file.bin.partial").write_bytes(part)
    assert fetch(tmp_path, Served(CONTENT), size=size).read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(tmp_path):
    served = Served(CONTENT, drop_after=300_000, drops=2, ranges=False)
    assert fetch(tmp_path, served).read_bytes() == CONTENT
    assert served.requests == ["", "bytes=300000-", "bytes=300000-"]


def test_a_range_other_than_asked_for_is_not_appended(tmp_path):
    (tmp_path / "file.bin.partial").write_bytes(CONTENT[:400_000])
    served = Served(CONTENT, range_shift=-100)
    assert fetch(tmp_path, served).read_bytes() == CONTENT
    assert served.requests == ["bytes=400000-", ""]


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_length_stated_too_long_does_no_harm(tmp_path, size):
    assert fetch(tmp_path, Served(CONTENT, length_shift=500), size=size).read_bytes() == CONTENT


def test_a_length_stated_too_short_is_noticed(tmp_path):
    with pytest.raises(DownloadError, match="wrong checksum .* of 999500 bytes"):
        fetch(tmp_path, Served(CONTENT, length_shift=-500, ranges=False))
    with pytest.raises(DownloadError, match="ended after 999500 of 1000000 bytes"):
        fetch(tmp_path, Served(CONTENT, length_shift=-500), size=len(CONTENT))
    os.remove(tmp_path / "file.bin.partial")
    once = Served(CONTENT, length_shift=-500, lies=1)
    assert fetch(tmp_path, once, size=len(CONTENT)).read_bytes() == CONTENT


def test_wrong_content_is_tried_once_more_and_never_kept(tmp_path):
    served = Served(b"other" + CONTENT[5:])
    with pytest.raises(DownloadError, match="wrong checksum"):
        fetch(tmp_path, served)
    assert served.requests == ["", ""]
    assert names(tmp_path) == []


def test_more_bytes_than_promised_are_not_stored(tmp_path):
    served = Served(CONTENT * 8)
    with pytest.raises(DownloadError, match="wrong checksum"):
        fetch(tmp_path, served, size=len(CONTENT))
    assert names(tmp_path) == []


def test_a_server_that_keeps_dropping_is_given_up_and_the_part_kept(tmp_path):
    (tmp_path / "file.bin.partial").write_bytes(CONTENT[:1_000])
    served = Served(CONTENT, drop_after=0)
    with pytest.raises(DownloadError, match="fetched is kept"):
        fetch(tmp_path, served)
    assert len(served.requests) == 3
    assert (tmp_path / "file.bin.partial").stat().st_size == 1_000


def test_missing_files_are_not_tried_again_but_busy_servers_are(tmp_path):
    missing = Served(CONTENT, statuses=[-404])
    with pytest.raises(DownloadError, match="HTTP 404"):
        fetch(tmp_path, missing)
    assert len(missing.requests) == 1
    assert fetch(tmp_path, Served(CONTENT, statuses=[503, 429])).read_bytes() == CONTENT
    os.remove(tmp_path / "file.bin")
    with pytest.raises(DownloadError, match="HTTP 503"):
        fetch(tmp_path, Served(CONTENT, statuses=[-503]))


def test_mirrors_are_tried_in_turn_and_share_the_part(tmp_path):
    files = {
        "/missing": Served(b"", statuses=[-404]),
        "/half": Served(CONTENT[:500_000], length_shift=500_000),
        "/good": Served(CONTENT),
    }
    with serving(files) as address, socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))  # Nobody listens there.
        refused = f"http://127.0.0.1:{refusing.getsockname()[1]}/refused"
        urls = [refused, *(address + path for path in files)]
        assert download(urls, tmp_path / "f", MD5, len(CONTENT), 2, 0.001).read_bytes() == CONTENT
    assert files["/good"].requests == ["bytes=500000-"]


@pytest.mark.parametrize("checksum", ["", "md5:123", "crc32:12345678", MD5[4:]])
def test_an_unusable_checksum_is_refused(tmp_path, checksum):
    with pytest.raises(DownloadError, match="checksum"):
        fetch(tmp_path, Served(CONTENT), checksum)


@pytest.mark.slow
def test_a_killed_download_goes_on(tmp_path):
    served = Served(CONTENT, hold_after=500_000)
    program = "import sys; from soundgate.corpora.download import download; download(*sys.argv[1:])"
    part = tmp_path / "f.partial"
    with serving({"/file": served}) as address:
        arguments = [sys.executable, "-c", program, f"{address}/file", str(tmp_path / "f"), MD5]
        killed = subprocess.Popen(arguments)
        wait_until(lambda: killed.poll() is not None or (part.exists() and part.stat().st_size), "the first bytes")
        killed.kill()
        assert killed.wait() == -signal.SIGKILL
        kept = part.stat().st_size
        served.go_on.set()
        subprocess.run(arguments, check=True)
    assert (tmp_path / "f").read_bytes() == served.content
    assert served.requests == ["", f"bytes={kept}-"]
