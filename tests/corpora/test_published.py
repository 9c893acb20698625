"""Published recordings: found by hash under any name, laid out by the table, what is missing named."""

import csv
import hashlib
from pathlib import Path

import pytest
from click.testing import CliRunner

from soundgate.corpora.commands import corpora
from soundgate.corpora.published import COLUMNS, lay_out, read_table
from soundgate.runtime.errors import CorpusError, FormatError

CONTENTS = {"speech/1/a.flac": b"one", "music/rock/b.ogg": b"two two"}


def table(folder: Path, contents: dict[str, bytes] = CONTENTS) -> Path:
    path = folder / "table.csv"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for name, content in contents.items():
            row = dict.fromkeys(COLUMNS, "") | {"path": name, "repository": "someone/sounds", "original": f"x/{name}"}
            writer.writerow(row | {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})
    return path


@pytest.fixture
def downloads(tmp_path):
    folder = tmp_path / "my downloads"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "renamed 音.bin").write_bytes(b"one")
    (folder / "another").write_bytes(b"owe")  # Of the same size.
    (folder / "b.ogg").write_bytes(b"two two")
    return folder


def test_found_by_content_whatever_the_name(tmp_path, downloads):
    laid = lay_out(read_table(table(tmp_path)), [downloads], tmp_path / "own")
    assert laid.linked == list(CONTENTS) and not laid.missing
    assert {name: Path(tmp_path, "own", name).read_bytes() for name in CONTENTS} == CONTENTS


def test_twice_is_once_and_a_link_that_leads_elsewhere_is_set_right(tmp_path, downloads):
    rows, out = read_table(table(tmp_path)), tmp_path / "own"
    lay_out(rows, [downloads], out)
    link = out / "speech/1/a.flac"
    link.unlink()
    link.symlink_to(downloads / "another")
    assert lay_out(rows, [downloads], out).linked == list(CONTENTS)
    assert link.read_bytes() == b"one"


def test_a_file_of_the_users_own_is_not_replaced(tmp_path, downloads):
    taken = tmp_path / "own/speech/1/a.flac"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"mine")
    with pytest.raises(CorpusError, match="a.flac"):
        lay_out(read_table(table(tmp_path)), [downloads], tmp_path / "own")
    assert taken.read_bytes() == b"mine"


def test_what_is_missing_is_named_with_where_it_was_published(tmp_path, downloads):
    (downloads / "b.ogg").unlink()
    result = CliRunner().invoke(
        corpora, ["lay-out", str(table(tmp_path)), str(downloads), "--to", str(tmp_path / "own")]
    )
    assert result.exit_code == 1
    assert "1 files" in result.output
    assert "missing: music/rock/b.ogg: someone/sounds, x/music/rock/b.ogg" in result.output


@pytest.mark.parametrize("name", ["../a.flac", "/etc/a.flac"])
def test_a_table_cannot_lead_out_of_the_folder(tmp_path, name):
    with pytest.raises(FormatError, match="inside the folder"):
        read_table(table(tmp_path, {name: b"one"}))


def test_a_table_without_columns_or_hashes_is_refused(tmp_path):
    bare = tmp_path / "bare.csv"
    bare.write_text("path,sha256\na,b\n")
    with pytest.raises(FormatError, match="columns"):
        read_table(bare)
    bare.write_text(",".join(COLUMNS) + "\na.flac,,,,,,1,abc\n")
    with pytest.raises(FormatError, match="line 2"):
        read_table(bare)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CorpusError, match="nowhere"):
        lay_out(read_table(table(tmp_path)), [tmp_path / "nowhere"], tmp_path / "own")


def test_the_table_of_the_committed_results_is_whole():
    rows = read_table("sources/published_audio.csv")
    paths = [row["path"] for row in rows]
    assert len(set(paths)) == len(rows) and all(row["licence"] and row["repository"] for row in rows)
    assert {path.split("/")[0] for path in paths} == {"speech", "music", "ir", "dry_voice", "lyra"}
