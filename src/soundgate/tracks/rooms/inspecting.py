"""A batch looked at: its hashes and shapes, and one triple drawn with everything known of it."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from soundgate.audio.decay import decay_curve_db
from soundgate.audio.io import write_audio
from soundgate.runtime.errors import FormatError
from soundgate.runtime.figures import label_text, save_figure
from soundgate.runtime.files import read_json, sha256_of
from soundgate.tracks.rooms.batches import FULL_SCALE, SOURCE, TARGET, open_batch
from soundgate.tracks.rooms.chain import MANIFEST
from soundgate.tracks.rooms.irs import Catalogue, load_catalogue


def inspect_batch(batch: Path, row: int | None, picture: Path | None, listen: Path | None) -> None:
    """Verify a batch, print what is in it, and show one of its triples.

    Args:
        batch: ``data/<profile>/rooms/batches/batch_NNNN.npz``, inside its run folder.
        row: of the triple to show; None shows the first where a picture or audio is asked for, else none.
        picture: PNG to draw the triple into.
        listen: folder for ``source.wav`` and ``target.wav``.

    Raises:
        FormatError: the batch is damaged, or has no such triple.
    """
    meta = verified(batch)
    arrays = open_batch(batch)
    click.echo(f"{batch}: hash verified; {len(meta['triples'])} triples, {len(meta['rejected'])} rejected")
    for name, array in arrays.items():
        click.echo(f"  {name}: {array.dtype} {list(array.shape)}")
    if row is None and (picture or listen):
        row = 0
    if row is None:
        return
    triple = chosen(batch, meta, row)
    click.echo("\n".join(_lines(triple)))
    rate = read_json(batch.parent.parent / MANIFEST)["sample_rate"]
    if listen:
        for name in (SOURCE, TARGET):
            # At the full scale of the file's format, so that its samples are the batch's.
            write_audio(listen / f"{name.removesuffix('_audio')}.wav", arrays[name][row] / np.float32(2**15), rate)
    if picture:
        wavs = {name: arrays[name][row] / np.float32(FULL_SCALE) for name in (SOURCE, TARGET)}
        figure = draw(wavs, triple, load_catalogue(batch.parent.parent / "irs"), rate)
        save_figure(figure, picture, dpi=110)


def verified(batch: Path) -> dict:
    """Return a batch's metadata, having hashed the batch.

    Raises:
        FormatError: its bytes are not those its metadata promises.
    """
    meta_path = batch.with_name(f"{batch.stem}_meta.json")
    if not meta_path.is_file():
        raise FormatError(meta_path, expected="the metadata beside its batch", found="no such file")
    meta = read_json(meta_path)
    found = sha256_of(batch)
    if found != meta["sha256"]:
        raise FormatError(
            batch, expected=f"sha256 {meta['sha256']}", found=found,
            remedy="Run dvc repro: a damaged batch is rendered again.",
        )  # fmt: skip
    return meta


def chosen(batch: Path, meta: dict, row: int) -> dict:
    """Return one triple's entry."""
    if row >= len(meta["triples"]):
        raise FormatError(batch, expected=f"--triple 0 to {len(meta['triples']) - 1}", found=str(row))
    return meta["triples"][row]


def draw(wavs: dict[str, np.ndarray], triple: dict, catalogue: Catalogue, sample_rate: int) -> Figure:
    """Draw a triple: waveform and spectrogram of source and target, and the decay of their rooms."""
    figure = Figure((13, 8), layout="constrained")
    segment = label_text(triple["segment_id"])
    figure.suptitle(f"item {triple['item']} ({triple['split']}): {segment}, {triple['wet']:.0%} wet")
    axes = figure.subplots(3, 2)
    rooms = {SOURCE: triple["bad_ir"], TARGET: triple["target_ir"]}
    for column, (name, wav) in enumerate(wavs.items()):
        seconds = np.arange(len(wav)) / sample_rate
        axes[0, column].plot(seconds, wav, lw=0.4)
        axes[0, column].set(title=name.replace("_", " "), ylim=(-1.05, 1.05), xlim=(0, seconds[-1]))
        _draw_spectrogram(axes[1, column], wav, sample_rate)
        axes[1, column].set(xlabel="seconds", ylabel="Hz")
        _draw_decay(axes[2, column], catalogue, rooms[name])
    return figure


def _draw_spectrogram(axis: Axes, wav: np.ndarray, sample_rate: int) -> None:
    with np.errstate(divide="ignore"):
        *_, image = axis.specgram(wav + 1e-6, NFFT=1024, Fs=sample_rate, noverlap=512, vmin=-140, vmax=-30)
    # Where digital silence has no level nothing is drawn: what is behind has the colour of the lowest.
    axis.set_facecolor(image.cmap(0.0))


def _draw_decay(axis: Axes, catalogue: Catalogue, name: str) -> None:
    entry = catalogue.entries[name]
    decay = decay_curve_db(catalogue.ir(name), catalogue.sample_rate)
    axis.plot(np.arange(len(decay)) / catalogue.sample_rate, decay)
    axis.set(
        title=f"{label_text(name)}: T60 {entry['rt60_s']:.2f} s, C50 {entry['c50_db']:.1f} dB", ylim=(-90, 2),
        xlabel="seconds", ylabel="energy decay (dB)",
    )  # fmt: skip


def _lines(triple: dict) -> list[str]:
    lines = [f"  {key}: {value}" for key, value in triple.items() if key != "effects"]
    for number, effect in enumerate(triple["effects"], 1):
        settings = ", ".join(f"{key} {value}" for key, value in effect.items() if key != "name")
        lines.append(f"  effect {number}: {effect['name']} ({settings})")
    return lines
