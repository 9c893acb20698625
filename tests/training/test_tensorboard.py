import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from soundgate.runtime.files import write_json
from soundgate.runtime.scratch import CARD
from soundgate.training.tensorboard import RUNS_FOLDER, Curves
from tests.training.test_loop import Line, run

CURVES = RUNS_FOLDER / "tiny" / "track" / "model" / "track-fit-stage1"


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """A checkpoint in a stage's work folder."""
    monkeypatch.chdir(tmp_path)
    work = tmp_path / "scratch" / "track-fit" / "key"
    write_json(work / CARD, {"out": "data/tiny/track/model"})
    return work / "result" / "checkpoints" / "stage1.pt"


def logged(folder):
    """Return every (step, value) of each curve, as TensorBoard reads them."""
    events = EventAccumulator(str(folder), purge_orphaned_data=False)
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def curves_of(history):
    tags = [name for name in history[0] if name not in ("epoch", "step")]
    return {tag: [(row["step"], pytest.approx(row[tag])) for row in history] for tag in tags}


def test_each_figure_of_an_epoch_is_a_scalar_over_the_steps(checkpoint):
    history = run(Line(), checkpoint, name="track-fit stage1")
    assert logged(CURVES) == curves_of(history) and set(logged(CURVES)) == {"loss", "slope"}


@pytest.mark.parametrize("stop_at", [3, 5, 7, 10, 14])
def test_an_interrupted_run_has_every_epoch_once(checkpoint, stop_at):
    with pytest.raises(KeyboardInterrupt):
        run(Line(stop_at), checkpoint, name="track-fit stage1")
    assert sum(map(len, logged(CURVES).values())) == 2 * (stop_at // 5)
    history = run(Line(), checkpoint, name="track-fit stage1")
    assert logged(CURVES) == curves_of(history)


def test_a_record_cut_by_a_kill_is_replaced(checkpoint):
    history = run(Line(), checkpoint, name="track-fit stage1")
    (events,) = CURVES.iterdir()
    events.write_bytes(events.read_bytes()[:-9])
    assert sum(map(len, logged(CURVES).values())) == 2 * len(history) - 1
    run(Line(), checkpoint, name="track-fit stage1")
    assert logged(CURVES) == curves_of(history) and len(list(CURVES.iterdir())) == 1


def test_a_folder_that_cannot_be_written_stops_nothing(checkpoint, caplog):
    Path("runs").write_text("a file where the folder is to be")
    assert len(run(Line(), checkpoint)) == 3
    assert "No curves for TensorBoard" in caplog.text


# The writer's thread says so itself.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_disk_that_fills_up_stops_nothing(tmp_path, caplog, monkeypatch):
    from tensorboard.summary.writer.record_writer import RecordWriter

    rows = [{"epoch": epoch, "step": 5 * epoch, "loss": 1 / epoch} for epoch in (1, 2, 3)]
    curves = Curves(tmp_path, rows[:1])

    def full(writer, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RecordWriter, "write", full)
    for row in rows[1:]:
        curves.add(row)
    assert caplog.text.count("No space left on device") == 1
    assert logged(tmp_path) == curves_of(rows[:1])


def test_outside_of_a_stages_work_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(Line(), tmp_path / "run.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_the_loop_alone_does_not_load_tensorboard():
    code = "import sys, soundgate.training.loop; sys.exit('tensorboard' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
