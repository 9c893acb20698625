import hashlib
import multiprocessing
import shutil

import pytest
from click.testing import CliRunner

from soundgate.cli import main
from soundgate.runtime.errors import FormatError
from soundgate.runtime.files import read_json
from soundgate.tracks.transfer import runs
from soundgate.tracks.transfer.runs import export_run
from tests.waiting import LIMIT_S

from .finished_run import write_finished_run


def export(root, profile="tiny"):
    data = root / "data" / profile / "transfer"
    return export_run(data, root / "metrics" / profile / "transfer", data / "samples", root / "runs")


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_run_has_the_seeds_files_under_their_names(tmp_path):
    data, metrics = write_finished_run(tmp_path)
    folder, new = export(tmp_path)
    assert new and folder == tmp_path / "runs/lab3_synthesis/run1"
    names = ("run_state.json", "history.csv", "model.safetensors", "config.json", "checkpoints/stage1_latest.pt",
             "checkpoints/stage2_latest.pt")  # fmt: skip
    pack = {f"samples/posttrain_samples/{name}" for name in files(data / "samples/posttrain_samples")}
    expected = {f"{path}/{name}" for path in ("mel", "codec") for name in names} | pack
    assert files(folder) == expected | {"run.json", "lab3_exit_audit.json"} and len(pack) == 11
    for name in expected:
        assert (folder / name).read_bytes() == (data / name).read_bytes()
    assert (folder / "lab3_exit_audit.json").read_bytes() == (metrics / "lab3_exit_audit.json").read_bytes()


def test_run_json_lets_anyone_check_the_copy(tmp_path):
    write_finished_run(tmp_path)
    folder, _ = export(tmp_path)
    card = read_json(folder / "run.json")
    assert set(card["files"]) == files(folder) - {"run.json"}
    for name, expected in card["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected


def finished_with(seed, folder, **others):
    """Return a root with a finished run, whose exports go to ``folder/runs`` as those of other seeds do."""
    root = folder / f"seed{seed}"
    write_finished_run(root, seed=seed, **others)
    (folder / "runs").mkdir(exist_ok=True)
    (root / "runs").symlink_to(folder / "runs")
    return root


def test_runs_are_numbered_without_gaps_and_the_same_content_is_known_again(tmp_path):
    roots = [finished_with(seed, tmp_path) for seed in range(3)]
    assert [(folder.name, new) for folder, new in map(export, roots)] == [(f"run{n}", True) for n in (1, 2, 3)]
    folder, new = export(roots[1])
    assert (folder.name, new) == ("run2", False)
    shutil.rmtree(tmp_path / "runs/lab3_synthesis/run1")
    assert export(roots[0]) == (roots[0] / "runs/lab3_synthesis/run1", True)


def test_what_is_no_finished_run_has_no_number_and_is_not_touched(tmp_path):
    write_finished_run(tmp_path)
    series = tmp_path / "runs/lab3_synthesis"
    for name in (".unfinished/mel", "run01", "run0", "run-1", "other", "run1"):
        (series / name).mkdir(parents=True)
    (series / "run1/own.txt").write_text("made by hand")
    folder, _ = export(tmp_path)
    assert folder.name == "run2" and (series / "run1/own.txt").read_text() == "made by hand"
    assert not (series / ".unfinished").exists()


def test_an_export_that_fails_leaves_no_run(tmp_path, monkeypatch):
    data, _ = write_finished_run(tmp_path)
    real = runs.shutil.copyfile

    def changing(source, copy):
        if source == data / "mel/model.safetensors":
            source.write_bytes(b"trained on meanwhile")
        return real(source, copy)

    with monkeypatch.context() as patch:
        patch.setattr(runs.shutil, "copyfile", changing)
        with pytest.raises(FormatError, match="model.safetensors.*a change meanwhile"):
            export(tmp_path)
    assert not list((tmp_path / "runs/lab3_synthesis").glob("run*"))
    assert export(tmp_path).folder.name == "run1"


@pytest.mark.parametrize("paths", [("mel",), ("codec",)])
def test_one_path_alone_is_a_run_too(tmp_path, paths):
    write_finished_run(tmp_path, paths=paths)
    folder, _ = export(tmp_path)
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"samples", *paths}


def test_nothing_finished_is_a_clear_error(tmp_path):
    with pytest.raises(FormatError, match="mel/run_state.json or codec/run_state.json; found no finished run"):
        export(tmp_path)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "part", ["data/tiny/transfer/mel/history.csv", "metrics/tiny/transfer/lab3_exit_audit.json",
             "data/tiny/transfer/samples/posttrain_samples/index.html"],
)  # fmt: skip
def test_a_missing_part_is_named(tmp_path, part):
    write_finished_run(tmp_path)
    (tmp_path / part).unlink()
    with pytest.raises(FormatError, match=f"{part}: expected a part of a finished run"):
        export(tmp_path)


def test_a_run_without_checkpoints_is_not_finished(tmp_path):
    data, _ = write_finished_run(tmp_path)
    shutil.rmtree(data / "codec/checkpoints")
    with pytest.raises(FormatError, match="codec/checkpoints"):
        export(tmp_path)


def test_exports_at_the_same_time_get_different_numbers(tmp_path):
    context = multiprocessing.get_context("fork")
    roots = [finished_with(seed, tmp_path, paths=("mel",)) for seed in range(4)]
    processes = [context.Process(target=export, args=(root,)) for root in roots]
    for process in processes:
        process.start()
    for process in processes:
        process.join(LIMIT_S)
        assert process.exitcode == 0
    made = sorted((tmp_path / "runs/lab3_synthesis").glob("run*"))
    assert [folder.name for folder in made] == ["run1", "run2", "run3", "run4"]
    assert len({(folder / "lab3_exit_audit.json").read_text() for folder in made}) == 4


def test_the_command_exports_the_profile_params_yaml_names(tmp_path, monkeypatch):
    write_finished_run(tmp_path, profile="embedded")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("profile: [embedded]\n")
    done = CliRunner().invoke(main, ["runs", "export"])
    assert done.exit_code == 0 and done.output == "runs/lab3_synthesis/run1\n"
    again = CliRunner().invoke(main, ["runs", "export", "--profile", "embedded", "--to", "runs"])
    assert again.output == "runs/lab3_synthesis/run1: exported before, nothing copied\n"
    other = CliRunner().invoke(main, ["runs", "export", "--profile", "full"])
    assert other.exit_code == 1 and other.output.startswith("FormatError: data/full/transfer: ")
