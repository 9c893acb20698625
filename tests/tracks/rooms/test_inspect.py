import json
import shutil
import warnings

import matplotlib.image
import numpy as np
import pytest
from click.testing import CliRunner

from soundgate.audio.io import read_audio
from soundgate.runtime.figures import save_figure
from soundgate.runtime.files import read_json
from soundgate.tracks.rooms.batches import open_batch
from soundgate.tracks.rooms.commands import main
from soundgate.tracks.rooms.inspecting import draw
from soundgate.tracks.rooms.irs import load_catalogue
from soundgate.tracks.rooms.manifest import build_manifest
from soundgate.tracks.rooms.quality import QualitySettings
from soundgate.tracks.rooms.rendering import RenderSettings, render

from .conftest import CLIP, RATE, parts

SETTINGS = RenderSettings(budget_gb=1, quality=QualitySettings(min_rms=1e-4, max_clipped_share=0.5))


@pytest.fixture(scope="module")
def finished(small_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inspected")
    shutil.copytree(small_run / "irs", folder / "irs")
    render(parts(small_run), folder / "batches", SETTINGS)
    manifest = build_manifest(parts(small_run), folder / "batches", RATE)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def batch(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run") / "batches/batch_0001.npz"


def inspect(*arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return CliRunner().invoke(main, ["inspect", *map(str, arguments)], catch_exceptions=False)


def refused(*arguments):
    done = inspect(*arguments)
    lines = done.output.strip().splitlines()
    assert done.exit_code == 1 and lines[-1].startswith("FormatError: ")
    return lines


def test_a_batch_is_verified_and_summed_up(batch):
    done = inspect(batch)
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        f"{batch}: hash verified; 4 triples, 0 rejected",
        f"  source_audio: int16 [4, {CLIP}]",
        f"  target_audio: int16 [4, {CLIP}]",
        "  target_clap: float32 [4, 512]",
    ]


def test_a_triple_is_described_in_full(batch):
    triple = read_json(batch.with_name("batch_0001_meta.json"))["triples"][2]
    lines = inspect(batch, "--triple", 2).output.splitlines()
    for key in ("item", "split", "segment_id", "bad_ir", "target_ir", "wet", "source_gain"):
        assert f"  {key}: {triple[key]}" in lines
    described = [line for line in lines if line.startswith("  effect ")]
    assert len(described) == len(triple["effects"]) >= 3
    for number, (line, effect) in enumerate(zip(described, triple["effects"], strict=True), 1):
        assert line.startswith(f"  effect {number}: {effect['name']} (")
        assert all(f"{key} {value}" in line for key, value in effect.items() if key != "name")


def test_what_is_listened_to_is_what_is_stored(batch, tmp_path):
    assert inspect(batch, "--triple", 3, "--listen", tmp_path / "heard").exit_code == 0
    arrays = open_batch(batch)
    assert {path.name for path in (tmp_path / "heard").iterdir()} == {"source.wav", "target.wav"}
    for name in ("source", "target"):
        audio = read_audio(tmp_path / f"heard/{name}.wav")
        assert audio.sample_rate == RATE and audio.wav.shape == (1, CLIP)
        np.testing.assert_array_equal(audio.wav[0] * 2**15, arrays[f"{name}_audio"][3])


def test_without_a_number_the_first_triple_is_drawn(batch, tmp_path):
    done = inspect(batch, "--picture", tmp_path / "deep/triple.png")
    assert done.exit_code == 0 and "  item: 5" in done.output.splitlines()
    assert (tmp_path / "deep/triple.png").read_bytes().startswith(b"\x89PNG")


def test_digital_silence_is_drawn_in_the_lowest_colour(batch, tmp_path):
    triple = read_json(batch.with_name("batch_0001_meta.json"))["triples"][0]
    loud = np.random.default_rng(0).uniform(-1, 1, CLIP).astype(np.float32)
    silent = np.where(np.arange(CLIP) < CLIP // 2, loud, 0).astype(np.float32)
    wavs = {"source_audio": silent, "target_audio": loud}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw(wavs, triple, load_catalogue(batch.parents[1] / "irs"), RATE)
        figure.savefig(tmp_path / "picture.png", dpi=50)
    picture = matplotlib.image.imread(tmp_path / "picture.png")
    height, width = picture.shape[:2]
    for axis, is_lowest in ((figure.axes[2], True), (figure.axes[3], False)):
        box = axis.get_position()
        row, column = (1 - (box.y0 + box.y1) / 2) * height, box.x0 + 0.85 * box.width
        lowest = np.array(axis.images[0].cmap(0.0))
        assert np.allclose(picture[int(row), int(column * width)], lowest, atol=0.02) == is_lowest


def test_a_flipped_byte_is_one_clear_line(batch):
    data = bytearray(batch.read_bytes())
    data[-9000] ^= 1
    batch.write_bytes(data)
    (line,) = refused(batch)
    assert "batch_0001.npz: expected sha256" in line and "dvc repro" in line


def test_a_triple_that_is_not_there_is_one_clear_line(batch):
    line = refused(batch, "--triple", 4)[-1]
    assert "expected --triple 0 to 3; found 4" in line
    assert inspect(batch, "--triple", -1).exit_code == 2


def test_a_batch_without_metadata_is_one_clear_line(batch):
    batch.with_name("batch_0001_meta.json").unlink()
    (line,) = refused(batch)
    assert "batch_0001_meta.json: expected the metadata beside its batch; found no such file" in line


def test_a_file_that_is_not_there_is_a_wrong_option(tmp_path):
    done = inspect(tmp_path / "batch_0000.npz")
    assert done.exit_code == 2 and "does not exist" in done.output


@pytest.mark.parametrize("name", ["a$b_{$", "100 $"])
def test_segments_and_responses_of_any_name_are_drawn(batch, tmp_path, name):
    triple = read_json(batch.with_name("batch_0001_meta.json"))["triples"][0]
    catalogue = load_catalogue(batch.parents[1] / "irs")
    catalogue.entries[name] = catalogue.entries[triple["bad_ir"]]
    wav = np.random.default_rng(0).uniform(-1, 1, CLIP).astype(np.float32)
    named = triple | {"segment_id": name, "bad_ir": name}
    save_figure(draw({"source_audio": wav, "target_audio": wav}, named, catalogue, RATE), tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
