"""What a file that is not read turns out to be by its content, and the command that helps."""

from __future__ import annotations

_CONVERT = "convert it: ffmpeg -i IN OUT.wav"
_UNPACK = "an archive: unpack it"
_ANNEX = "git annex get"
_KINDS = (
    (4, b"ftyp", "MP4 or M4A", _CONVERT),
    (0, bytes.fromhex("1a45dfa3"), "WebM or Matroska", _CONVERT),
    (0, bytes.fromhex("3026b2758e66cf11"), "WMA or ASF", _CONVERT),
    (0, b"#!AMR", "AMR", _CONVERT),
    (0, b"\xff\xf1", "AAC", _CONVERT),
    (0, b"\xff\xf0", "AAC", _CONVERT),
    (0, b"\xff\xfd", "MPEG Layer II", _CONVERT),
    (0, b"\xff\xfc", "MPEG Layer II", _CONVERT),
    (0, b"FLV\x01", "Flash video", _CONVERT),
    (8, b"AVI ", "AVI", _CONVERT),
    (8, b"8SVX", "8SVX", _CONVERT),
    (0, b"wvpk", "WavPack", _CONVERT),
    (0, b"MAC ", "Monkey's Audio", _CONVERT),
    (0, b"TTA1", "True Audio", _CONVERT),
    (0, b"MPCK", "Musepack", _CONVERT),
    (0, b"ajkg", "Shorten", _CONVERT),
    (0, b"Creative Voice File", "VOC", _CONVERT),
    (0, b"PK\x03\x04", "ZIP", _UNPACK),
    (0, b"\x1f\x8b", "gzip", _UNPACK),
    (0, b"MThd", "MIDI", "notes: render them"),
    (0, b"/annex/objects/", "a git-annex pointer", _ANNEX),
    (0, b"../.git/annex/", "a git-annex pointer", _ANNEX),
)
_PAGES = (b"<!doctype", b"<html", b"<?xml")
_OGG_CODINGS = {b"Speex   ": "Speex", b"\x80theora": "Theora", b"fishead\0": "a video", b"BBCD": "Dirac"}
# Codings that WAV files have and libsndfile does not read.
_WAV_CODINGS = {
    0x50: "MPEG Layer II",
    0x92: "AC-3",
    0xFF: "AAC",
    0x160: "WMA",
    0x161: "WMA",
    0x162: "WMA",
    0x163: "WMA",
    0x1610: "AAC",
    0x2000: "AC-3",
    0x2001: "DTS",
    0xF1AC: "FLAC",
}


def foreign_kind(content: bytes) -> str:
    """Return what a file is whose content is no audio that is read, with the command that helps where one does."""
    found = [kind for kind in _KINDS if content.startswith(kind[1], kind[0])]
    if content[:64].lstrip(b"\xef\xbb\xbf\r\n\t ").lower().startswith(_PAGES):
        found.append((0, b"", "a web page", "download it again"))
    if not found:
        return "no audio format recognised in the content"
    return f"no audio format that is read, but {found[0][2]}; {found[0][3]}"


def foreign_wav(tag: int) -> str:
    """Return why a WAV of a coding is not read, by the tag of its format; empty where it may be."""
    coding = _WAV_CODINGS.get(tag)
    return f"WAV in coding {coding} ({tag:#06x}) is not read; {_CONVERT}" if coding else ""


def foreign_ogg(head: bytes) -> str:
    """Return why an Ogg is not read, by what its first page holds; empty where it may be."""
    found = [coding for mark, coding in _OGG_CODINGS.items() if head.startswith(mark)]
    return f"Ogg with {found[0]} is not read; {_CONVERT}" if found else ""
