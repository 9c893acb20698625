"""Archives made to harm whoever unpacks them, each with what refuses it.

Run as a program, it unpacks them one after the other, allowed little memory and small files, and prints what came of
each.
"""

import bz2
import gzip
import io
import json
import lzma
import resource
import struct
import sys
import tarfile
import unicodedata
import zipfile
import zlib
from pathlib import Path

MEMORY_BYTES = 160 * 2**20  # beside what the interpreter has when it begins
FILE_BYTES = 2**20


def info(name, size=0, kind=tarfile.REGTYPE):
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member


def header(name, size=0, kind=tarfile.REGTYPE):
    return info(name, size, kind).tobuf(tarfile.GNU_FORMAT)


def with_size(size):
    """A plain member's header that states any size, in base 256."""
    block = bytearray(header("x"))
    block[124:136] = (size % 2**96).to_bytes(12, "big")
    block[124] = 0xFF if size < 0 else 0x80
    block[148:156] = b"%06o\0 " % (256 + sum(block[:148]) + sum(block[156:]))
    return bytes(block)


def block(content):
    return content + bytes(-len(content) % 512)


def pax(records, kind=tarfile.XHDTYPE):
    body = b""
    for key, value in records:
        rest = b" %b=%b\n" % (key.encode(), value if isinstance(value, bytes) else value.encode())
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length += 1
        body += str(length).encode() + rest
    return header("pax", len(body), kind) + block(body)


def end(content=b""):
    return content + bytes(1024)


def holed(start, size):
    """A file that begins so and goes on with zeros, which take no room on the disk."""

    def write(path):
        with open(path, "wb") as file:
            file.write(start)
            file.truncate(size)

    return write


def old_sparse():
    member = bytearray(header("x", 0, tarfile.GNUTYPE_SPARSE))
    member[386:410] = b"%011o\0%011o\0" % (2**30, 0)
    member[483:495] = b"%011o\0" % 2**30
    member[148:156] = b"%06o\0 " % (256 + sum(member[:148]) + sum(member[156:]))
    return gzip.compress(end(bytes(member)))


def sparse(records, content=b""):
    return gzip.compress(end(pax(records) + header("x", len(content)) + block(content)))


def named(*names):
    return end(b"".join(info(name).tobuf(tarfile.PAX_FORMAT) for name in names))


def xz_of_much_memory():
    """An xz file whose dictionary has 1 GiB: a byte of the first block's header, behind which its checksum stands."""
    packed = bytearray(lzma.compress(end(header("x"))))
    size = (packed[12] + 1) * 4
    packed[16] = 36
    packed[12 + size - 4 : 12 + size] = struct.pack("<I", zlib.crc32(packed[12 : 12 + size - 4]))
    return bytes(packed)


def zipped(members, method=zipfile.ZIP_DEFLATED, comment=b""):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as packed:
        packed.comment = comment
        for name, content in members.items():
            packed.writestr(name, content)
    return buffer.getvalue()


def overlapping(copies):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a", bytes(10_000_000))
        for number in range(copies):
            other = zipfile.ZipInfo(f"b{number}")
            for name in ("header_offset", "CRC", "compress_size", "file_size", "compress_type", "flag_bits"):
                setattr(other, name, getattr(packed.filelist[0], name))
            packed.filelist.append(other)
    return buffer.getvalue()


def directory_of(size, real):
    """A zip whose end states a directory of that size, in front of it or not."""

    def write(path):
        tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, min(size, 2**32 - 1), 4, 0)
        if size >= 2**32:
            wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, size, 4)
            tail = wide + struct.pack("<4sLQL", b"PK\x06\x07", 0, 4, 1) + tail
        with open(path, "wb") as file:
            file.write(b"PK\x03\x04")
            file.seek(4 + real)
            file.write(tail)

    return write


def stating(size):
    """A zip whose only member says in every place that it has so many bytes."""
    return zipped({"x": bytes(1000)}).replace(struct.pack("<L", 1000), struct.pack("<L", size))


ZEROS = gzip.compress(bytes(2**20))
LONG = "x" * 200 + "/"
NFC, NFD = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))

ATTACKS = {
    # name: (content or what writes the file, reason)
    "pax header of 1 GiB": (holed(header("p", 2**30, tarfile.XHDTYPE), 2**30 + 4096), "extended headers"),
    "global pax header of 1 GiB": (holed(header("p", 2**30, tarfile.XGLTYPE), 2**30 + 4096), "extended headers"),
    "Solaris pax header of 1 GiB": (holed(header("p", 2**30, tarfile.SOLARIS_XHDTYPE), 2**30 + 4096), "extended"),
    "long name of 4 GiB": (holed(header("n", 2**32, tarfile.GNUTYPE_LONGNAME), 2**32 + 4096), "extended headers"),
    "long link of 4 GiB": (holed(header("n", 2**32, tarfile.GNUTYPE_LONGLINK), 2**32 + 4096), "extended headers"),
    "long name, packed": (
        gzip.compress(header("n", 2**30, tarfile.GNUTYPE_LONGNAME)) + ZEROS * 150,
        "extended headers",
    ),
    "thousands of headers": (end(pax([("comment", "x")]) * 5000 + header("x")), "at most 8 extended headers"),
    "many global headers": (
        end(b"".join(pax([(f"k{n}", "x" * 1000)], tarfile.XGLTYPE) + header(f"x{n}") for n in range(70))),
        "at most 8 extended headers",
    ),
    "headers of 65 KB in all": (end(pax([("a", "x" * 33_000)]) * 2 + header("x")), "65536 bytes together"),
    "digits": (end(pax([("comment", "1" * 60_000)]) + header("x")), "100 digits in a row"),
    "old sparse member": (old_sparse(), "sparse"),
    "sparse 0.0": (sparse([("GNU.sparse.size", str(2**40)), ("GNU.sparse.numblocks", "0")]), "sparse"),
    "sparse 0.1": (sparse([("GNU.sparse.size", str(2**40)), ("GNU.sparse.map", "0,0")]), "sparse"),
    "sparse 1.0": (
        sparse(
            [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", str(2**40))],
            b"1000000000\n" + b"1\n" * 250,
        ),
        "sparse",
    ),
    "a size below zero": (end(with_size(-1024)), "at most .* bytes"),
    "a size of 8 EiB": (end(with_size(2**63)), "at most .* bytes"),
    "a size of 10^18 by pax": (end(pax([("size", str(10**18))]) + header("x")), "at most .* bytes"),
    "a size below zero by pax": (end(pax([("size", "-512")]) + header("x")), "at most .* bytes"),
    "a size of 10^90 by pax": (end(pax([("size", "9" * 90)]) + header("x")), "at most .* bytes"),
    "a size for all by pax": (
        end(pax([("size", "1024")], tarfile.XGLTYPE) + header("x") + header("y") + header("z")),
        "corrupt",
    ),
    "gzip of zeros": (gzip.compress(header("x", 2**30)) + ZEROS * 1024, "at most 1\\d* bytes in"),
    "bzip2 of zeros": (bz2.compress(header("x", 2**27) + bytes(2**20)), "at most 67108864 bytes"),
    "gzip of zeros behind the end": (gzip.compress(named("x")) + ZEROS * 400, "headers and padding too"),
    "xz that wants 1 GiB": (xz_of_much_memory(), "corrupt: Memory usage limit"),
    "garbage behind bzip2": (bz2.compress(named("x")) + b"garbage", "corrupt"),
    "garbage behind gzip": (gzip.compress(named("x")) + b"garbage", "corrupt"),
    "garbage behind xz": (lzma.compress(named("x")) + b"garbage", "corrupt"),
    "garbage behind tar": (named("x") + b"garbage", "corrupt: data past its end"),
    "bzip2 cut": (bz2.compress(named("x"))[:-10], "corrupt"),
    "xz cut": (lzma.compress(named("x"))[:-20], "corrupt"),
    "names that differ in case": (named("a/Sound.wav", "a/sound.wav"), "whatever its letter case"),
    "folders that differ in case": (named("A/x.wav", "a/y.wav"), "whatever its letter case"),
    "names that differ in the accent's form": (named(NFC, NFD), "whatever its letter case"),
    "a file where a folder is": (named("a/b", "A"), "whatever its letter case"),
    "a folder where a file is": (named("a", "A/b"), "whatever its letter case"),
    "a deep path": (named("a/" * 40 + "b"), "32 folders"),
    "a very deep path": (named("a/" * 20_000 + "b"), "32 folders"),
    "a long path": (named(LONG * 6 + "x"), "1024 bytes"),
    "a path with a null": (end(pax([("path", b"a\0b")]) + header("x")), "corrupt"),
    "an absolute path by pax": (end(pax([("path", "/tmp/soundgate-pax")]) + header("x")), "inside"),
    "a path upwards by a long name": (
        end(header("n", 12, tarfile.GNUTYPE_LONGNAME) + block(b"../../escape") + header("x")),
        "inside",
    ),
    "zip: members that share bytes": (overlapping(200), "overlaps"),
    "zip: one twice": (overlapping(1), "overlaps"),
    "zip: directory of 1 GiB": (directory_of(2**30, 2**30), "a directory of at most"),
    "zip: directory of 1 TiB": (directory_of(2**40, 10), "corrupt"),
    "zip: directory of 8 GiB": (directory_of(2**33, 2**33), "a directory of at most"),
    "zip: bzip2 inside": (zipped({"x": bytes(50_000_000)}, zipfile.ZIP_BZIP2), "stored or deflate; found one by bzip2"),
    "zip: lzma inside": (zipped({"x": bytes(1000)}, zipfile.ZIP_LZMA), "stored or deflate; found one by lzma"),
    "zip: zeros": (zipped({"x": bytes(80_000_000)}), "at most 67108864 bytes"),
    "zip: a stated size too large": (stating(2**32 - 2), "bytes"),
    "zip: a stated size too small": (stating(900), "corrupt"),
    "zip: garbage behind it": (zipped({"x": b"1"}) + b"garbage", "its end is elsewhere"),
    "zip: a comment cut": (zipped({"x": b"1"}, comment=b"long comment")[:-4], "its end is elsewhere"),
    "zip: names that differ in case": (zipped({"X.wav": b"", "x.wav": b""}), "whatever its letter case"),
    "zip: a deep path": (zipped({"a/" * 2000 + "b": b""}), "32 folders"),
    "zip: an empty name": (zipped({"/": b""}), "inside"),
    "rar": (b"Rar!\x1a\x07\x00" + bytes(100), "corrupt"),
}


def write(folder):
    """Write all attacks into a folder and return their paths by name."""
    paths = {}
    for number, (name, (content, _)) in enumerate(ATTACKS.items()):
        paths[name] = folder / f"{number}"
        content(paths[name]) if callable(content) else paths[name].write_bytes(content)
    return paths


def main(folder):
    """Unpack every attack and print the outcomes as JSON."""
    from soundgate.corpora.archives import unpack

    paths = write(folder)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES,) * 2)
    outcomes = {}
    for name, path in paths.items():
        try:
            unpack(path, folder / "out" / path.name)
            outcomes[name] = "unpacked"
        except BaseException as error:
            outcomes[name] = f"{type(error).__name__}: {error}"
    print(json.dumps([outcomes, sorted(path.name for path in (folder / "out").iterdir())]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
