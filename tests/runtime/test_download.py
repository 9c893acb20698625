"""A download is whole and right, or it is not there."""

import gzip
import hashlib
import itertools
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from soundgate.runtime import connection
from soundgate.runtime.download import download
from soundgate.runtime.errors import DownloadError
from tests.http_server import Served, serving
from tests.waiting import wait_until

CONTENT = np.random.default_rng(0).bytes(1_000_000)
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()
CHUNKED = {"Transfer-Encoding": "chunked"}
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


def fetch(tmp_path, served, checksum=MD5, size=None, attempts=3, **options):
    with serving({"/file": served}) as address:
        return download(f"{address}/file", tmp_path / "file.bin", checksum, size, attempts, 0.001, **options)


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
    for checksum in (MD5, None):
        with pytest.raises(DownloadError, match="at most 1000000 bytes; found more"):
            fetch(tmp_path, served, checksum, size=len(CONTENT))
        assert [path for path in tmp_path.iterdir() if path.suffix != ".version"] == []


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


def test_a_body_that_never_ends_is_cut_at_the_bound(tmp_path):
    for served in (
        Served(b"", length=False, endless=bytes(2**16)),
        Served(b"", length=False, endless=b"10000\r\n" + bytes(2**16) + b"\r\n", headers=dict(CHUNKED)),
    ):
        with pytest.raises(DownloadError, match="at most 1000000 bytes; found more"):
            fetch(tmp_path, served, None, max_size=1_000_000)
        assert served.sent < 20_000_000 and names(tmp_path) == []
    announced = Served(CONTENT, length_shift=10**12)
    with pytest.raises(DownloadError, match="at most 1000000 bytes; found 1000001000000 bytes announced"):
        fetch(tmp_path, announced, None, max_size=1_000_000)
    assert names(tmp_path) == []


def test_a_body_without_a_length_is_taken_whole(tmp_path):
    assert fetch(tmp_path, Served(CONTENT, length=False), None).read_bytes() == CONTENT
    os.remove(tmp_path / "file.bin")
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (CONTENT[:7], CONTENT[7:], b""))
    served = Served(body, length=False, headers=dict(CHUNKED))
    assert fetch(tmp_path, served, None).read_bytes() == CONTENT
    os.remove(tmp_path / "file.bin")
    served.content = body[:-5]
    with pytest.raises(DownloadError, match="IncompleteRead|ended prematurely|Connection broken"):
        fetch(tmp_path, served, None)


def answer(head, body=b""):
    return Served(b"", head=[b"HTTP/1.1 " + head.encode().replace(b"\n", b"\r\n") + b"\r\n\r\n" + body])


def test_a_part_is_not_taken_for_the_whole(tmp_path):
    partly = answer("206 Partial Content\nContent-Range: bytes 0-9/1000\nContent-Length: 10", bytes(10))
    with pytest.raises(DownloadError, match="ended after 10 of 1000 bytes"):
        fetch(tmp_path, partly, None)
    unsaid = answer("416 Range Not Satisfiable\nContent-Length: 0")
    for checksum in (None, MD5):
        (tmp_path / "file.bin.partial").write_bytes(CONTENT)
        (tmp_path / "file.bin.partial.version").write_text('"v"')
        if checksum is None:
            with pytest.raises(DownloadError, match="HTTP 416"):
                fetch(tmp_path, unsaid, None)
    assert fetch(tmp_path, unsaid).read_bytes() == CONTENT


MANY = "9" * 5000


def test_numbers_of_thousands_of_digits_are_none(tmp_path):
    served = Served(CONTENT, length=False, headers={"Content-Length": MANY})
    assert fetch(tmp_path, served).read_bytes() == CONTENT
    (tmp_path / "file.bin").rename(tmp_path / "file.bin.partial")
    past = answer(f"416 Range Not Satisfiable\nContent-Range: bytes */{MANY}\nContent-Length: 0")
    assert fetch(tmp_path, past).read_bytes() == CONTENT
    os.remove(tmp_path / "file.bin")
    with pytest.raises(DownloadError, match="byte 0 asked for"):
        fetch(tmp_path, answer(f"206 Partial Content\nContent-Range: bytes {MANY}-{MANY}/{MANY}\nContent-Length: 0"))


def test_content_called_compressed_is_stored_as_it_comes(tmp_path):
    bomb = gzip.compress(bytes(50_000_000))
    served = Served(bomb, headers={"Content-Encoding": "gzip"})
    assert fetch(tmp_path, served, None, max_size=1_000_000).read_bytes() == bomb
    assert served.asked[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "served",
    [
        Served(b"", length=False, endless=b"x", pause_s=0.05),
        Served(b"", head=(b"x" for _ in itertools.count()), pause_s=0.05),
        Served(b"", head=itertools.chain([b"HTTP/1.1 200 OK\r\n"], (b"X-X" for _ in itertools.count())), pause_s=0.05),
        Served(b"", length=False, endless=b"0", pause_s=0.05, headers=dict(CHUNKED)),
    ],
    ids=["body", "status", "headers", "length of a chunk"],
)
def test_a_server_that_drips_is_given_up(tmp_path, monkeypatch, served):
    monkeypatch.setattr(connection, "WINDOW_S", 0.5)
    with pytest.raises(DownloadError, match="122880 bytes or more; found .* bytes in 0.5 s"):
        fetch(tmp_path, served, None)


def test_a_server_of_one_byte_a_connection_is_given_up(tmp_path):
    served = Served(CONTENT, drop_after=1)
    with pytest.raises(DownloadError, match="the whole file"):
        fetch(tmp_path, served)
    assert len(served.requests) == 3


def redirecting(tmp_path, target, checksum, content=CONTENT):
    files = {"/from": Served(b"", statuses=[-302]), "/to": Served(content)}
    with serving(files) as address:
        files["/from"].headers["Location"] = target.replace("OTHER", address.replace("127.0.0.1", "localhost"))
        return download(f"{address}/from", tmp_path / "f", checksum, attempts=2, backoff_s=0.001)


def test_redirects_keep_the_host_unless_a_hash_is_known(tmp_path):
    assert redirecting(tmp_path / "a", "/to", None).read_bytes() == CONTENT
    assert redirecting(tmp_path / "b", "OTHER/to", MD5).read_bytes() == CONTENT
    with pytest.raises(DownloadError, match="redirect within http://127.0.0.1.*no hash.*redirect to http://localhost"):
        redirecting(tmp_path / "c", "OTHER/to", None)
    with pytest.raises(DownloadError, match="5 redirects at most"):
        redirecting(tmp_path / "d", "/from", MD5)
    # Some find the host before the @, some behind it.
    with pytest.raises(DownloadError, match="redirect within http://127.0.0.1.*no hash.*redirect to http://"):
        redirecting(tmp_path / "e", "OTHER\\@127.0.0.1/to", None)
    for odd in ("http://[", "//[::1", "http://\u2100/"):
        with pytest.raises(DownloadError, match="http or https|redirect within"):
            redirecting(tmp_path / "f", odd.encode().decode("latin-1"), None)
    with pytest.raises(DownloadError, match="an address of http or https"):
        download("http://[", tmp_path / "f", None)


def test_the_body_of_a_redirect_is_not_read(tmp_path):
    files = {"/from": answer("302 Found\nLocation: /to\nContent-Length: 100000000000"), "/to": Served(CONTENT)}
    with serving(files) as address:
        assert download(f"{address}/from", tmp_path / "f", MD5, attempts=1).read_bytes() == CONTENT


@pytest.mark.parametrize("checksum", [None, MD5])
def test_other_schemes_are_refused(tmp_path, checksum):
    (tmp_path / "secret").write_bytes(CONTENT)
    with pytest.raises(DownloadError, match="an address of http or https"):
        download(f"{tmp_path}/secret", tmp_path / "f", checksum)
    for url in (f"file://{tmp_path}/secret", "ftp://127.0.0.1/x", "data:,x"):
        with pytest.raises(DownloadError, match="an address of http or https"):
            download(url, tmp_path / "f", checksum)
        with pytest.raises(DownloadError, match="http or https|a redirect within"):
            redirecting(tmp_path / "r", url, checksum)


def test_https_is_not_left_without_a_hash(monkeypatch):
    class Answer:
        status_code, headers, close = 301, {"Location": "http://example.org/x"}, staticmethod(lambda: None)

    monkeypatch.setattr(connection.requests.Session, "get", lambda *_arguments, **_options: Answer)
    with (
        pytest.raises(DownloadError, match="within https://example.org"),
        connection.connected("https://example.org/x", {}, False),
    ):
        pass


VERSIONS = [
    ("ETag", '"1"', '"2"'),
    ("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT", "Tue, 02 Jan 2024 00:00:00 GMT"),
]


@pytest.mark.parametrize(("name", "old", "new"), VERSIONS)
def test_a_part_of_another_version_is_not_taken_up(tmp_path, monkeypatch, name, old, new):
    monkeypatch.setattr("soundgate.runtime.download._FRUIT_BYTES", 10**9)
    with pytest.raises(DownloadError):
        fetch(tmp_path, Served(CONTENT[::-1], drop_after=400_000, headers={name: old}), None, attempts=1)
    assert names(tmp_path) == ["file.bin.partial", "file.bin.partial.version"]
    served = Served(CONTENT, headers={name: new})
    assert fetch(tmp_path, served, None).read_bytes() == CONTENT
    assert served.asked[0]["If-Range"] == old and served.requests == [""]
    assert names(tmp_path) == ["file.bin"]


def test_a_server_that_ignores_the_version_asked_for_is_started_over(tmp_path):
    (tmp_path / "file.bin.partial").write_bytes(CONTENT[::-1][:400_000])
    (tmp_path / "file.bin.partial.version").write_text('"1"')
    served = Served(CONTENT, headers={"ETag": '"2"'}, heeds_if_range=False)
    assert fetch(tmp_path, served, None).read_bytes() == CONTENT
    assert served.requests == ["bytes=400000-", ""]


@pytest.mark.parametrize(("name", "version", "_"), VERSIONS)
def test_a_part_is_taken_up_without_a_hash_only_where_the_server_vouches_for_it(tmp_path, name, version, _):
    known = Served(CONTENT, drop_after=600_000, drops=1, headers={name: version})
    assert fetch(tmp_path, known, None).read_bytes() == CONTENT
    assert known.requests == ["", "bytes=600000-"]
    os.remove(tmp_path / "file.bin")
    for headers in ({}, {"ETag": 'W/"1"'}):
        unknown = Served(CONTENT, drop_after=600_000, drops=1, headers=headers)
        assert fetch(tmp_path, unknown, None).read_bytes() == CONTENT
        assert unknown.requests == ["", ""]
        os.remove(tmp_path / "file.bin")


def test_no_more_is_stored_than_there_is_room_for(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**28 + 900_000))
    with pytest.raises(DownloadError, match="room for 1000000 bytes; found room for 900000"):
        fetch(tmp_path, Served(CONTENT))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**28))
    with pytest.raises(DownloadError, match="room for 0 bytes"):
        fetch(tmp_path, Served(CONTENT, length=False))


def test_passwords_and_tokens_are_not_told(tmp_path, caplog):
    caplog.set_level(logging.INFO, "soundgate")
    with serving({"/file": Served(CONTENT, statuses=[503, -404])}) as address:
        secret = address.replace("http://", "http://user:hunter2@") + "/file?token=hunter2"
        with pytest.raises(DownloadError) as caught:
            download(secret, tmp_path / "f", MD5, attempts=2, backoff_s=0.001)
    with pytest.raises(DownloadError) as refused:
        download("http://user:hunter2@127.0.0.1:9/file?token=hunter2", tmp_path / "f", MD5, attempts=1, backoff_s=0.001)
    told = f"{caught.value}{refused.value}{caplog.text}"
    assert "127.0.0.1" in told and "HTTP 404" in told and "hunter2" not in told


@pytest.mark.slow
def test_a_killed_download_goes_on(tmp_path):
    served = Served(CONTENT, hold_after=500_000)
    program = "import sys; from soundgate.runtime.download import download; download(*sys.argv[1:])"
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
