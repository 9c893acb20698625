"""What a file's name says about it: audio that is read, audio that a command converts, or plainly no audio."""

from __future__ import annotations

import shlex
from pathlib import Path

from soundgate.runtime.paths import path_to_text, printable

EXTENSIONS = frozenset(
    ".wav .wave .bwf .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .w64 .rf64 .bw64 .caf .au .snd .sph .nist".split()
)
_BY_FFMPEG = frozenset(
    """.m4a .m4b .m4p .m4r .mp4 .aac .wma .webm .weba .amr .awb .mp2 .mp1 .mpga .3gp .3gpp .3g2 .mka .mkv .mov .avi
    .mpg .mpeg .m4v .wmv .flv .ts .asf .ra .rm .ape .wv .tta .tak .alac .ac3 .eac3 .dts .spx .mpc .shn .dsf .dff .gsm
    .voc .qcp .sln .xa .8svx .iff .svx .ircam .sf .adts .loas""".split()
)
_BY_HAND = {
    ".sofa": "impulse responses in SOFA: write them as WAV, e.g. python -c {code}",
    ".mat": "a MATLAB file: write its audio as WAV, e.g. audiowrite('{stem}.wav', x, rate)",
    ".h5": "an HDF5 file: write its audio as WAV",
    ".hdf5": "an HDF5 file: write its audio as WAV",
    ".npy": "an array without a sample rate: write it as WAV",
    ".npz": "arrays without a sample rate: write them as WAV",
    ".raw": "samples without a header: sox -t raw -r RATE -e signed -b 16 -c 1 {name} {wav}",
    ".pcm": "samples without a header: sox -t raw -r RATE -e signed -b 16 -c 1 {name} {wav}",
    ".vox": "samples without a header: sox -t vox -r 8000 {name} {wav}",
    ".aup": "a project of an editor: export its audio as WAV",
    ".aup3": "a project of an editor: export its audio as WAV",
}
_ARCHIVES = frozenset(".zip .gz .tgz .bz2 .xz .zst .tar .rar .7z".split())
_UNFINISHED = frozenset(".part .partial .crdownload .download .tmp .!ut .aria2".split())
_NO_AUDIO = frozenset(
    """.txt .csv .tsv .json .jsonl .lab .textgrid .md .rst .xml .yaml .yml .toml .ini .cfg .conf .cue .log .m3u .m3u8
    .pls .xspf .nfo .sfv .md5 .sha1 .sha256 .sha512 .asc .sig .html .htm .css .js .py .pyc .m .r .sh .bat .pl .ipynb
    .pdf .doc .docx .odt .rtf .xls .xlsx .ods .tex .bib .jpg .jpeg .png .gif .bmp .tif .tiff .svg .webp .ico
    .phn .wrd .trs .ctm .stm .rttm .uem .srt .vtt .ass .lrc .eaf .ali .mid .midi .ly .abc .mscz .musicxml .mxl .sfz
    .db .sqlite .parquet .pkl .pickle .lock .url .lnk .desktop .torrent .rpp .reapeaks .peak .pek .asd .dvc .doi
    .license .readme .trans .prompts .dic .lst .list .flist .scp .segments .ds_store""".split()
)
_NO_AUDIO_NAMES = frozenset(
    """license licence copying readme authors changelog changes notice version manifest makefile dockerfile citation
    speakers chapters books md5sums sha1sums sha256sums sha512sums thumbs.db desktop.ini spkrinfo spkrsent
    prompts etc doc contents index install todo news""".split()
)


def is_no_audio(path: Path, is_file: bool) -> bool:
    """Return whether a name is plainly that of no audio: a text, a table, a picture, a licence.

    Args:
        path: of the file.
        is_file: whether there is a file; names without an extension are otherwise those of folders.
    """
    return path.suffix.lower() in _NO_AUDIO or is_file and path.name.lower() in _NO_AUDIO_NAMES


def why_not_read(path: Path) -> str:
    """Return why a file is not read, by its extension, with the command that converts it where there is one."""
    kind = path.suffix.lower()
    name, wav = shell_name(path.name), shell_name(f"{path.stem}.wav")
    if kind in _BY_FFMPEG:
        return f"{kind} is not read; convert it: ffmpeg -i {name} {wav}"
    if kind in _BY_HAND:
        code = shlex.quote(
            f"import sofar, soundfile; s = sofar.read_sofa({printable(path.name)!r}); "
            f"soundfile.write({printable(path.stem) + '.wav'!r}, s.Data_IR[0].T, int(s.Data_SamplingRate))"
        )
        return f"{kind} is not read; " + _BY_HAND[kind].format(name=name, wav=wav, stem=printable(path.stem), code=code)
    if kind in _ARCHIVES:
        return f"{kind} is not read; an archive: unpack it"
    if kind in _UNFINISHED:
        return f"{kind} is not read; an unfinished download: finish it"
    if not kind:
        return f"no extension, so not taken for audio; if it is, rename it or convert it: ffmpeg -i {name} {wav}"
    return f"{printable(kind)} is not known as audio; if it is, convert it: ffmpeg -i {name} {wav}"


def shell_name(name: str) -> str:
    """Return a file's name as a shell and ffmpeg read it, also one that is not UTF-8 or begins with ``-``.

    What stands before a colon is a protocol to ffmpeg (``10:30.m4a``), unless a folder is named.
    """
    name = f"./{name}" if name.startswith("-") or ":" in name else name
    if printable(name) == name:
        return shlex.quote(name)
    return "$'" + path_to_text(name).replace("'", "\\'") + "'"
