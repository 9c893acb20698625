"""A stage that works part by part, killed at random moments: what was finished is kept, and the result is the same."""

from tests.killed_training import made, repository, run_stage
from tests.killing import Killer, finish, present


def check_killed_parts(stage, inputs, folder, n_kills):
    """Run a stage once whole and several times killed; no finished part is lost or made again.

    Args:
        stage: a `tests.killed_training.Training` that keeps its parts in ``parts``.
        inputs: folder with the folders that its input options name.
        folder: empty, to work in.
        n_kills: at least.
    """
    whole = repository(folder / "whole", inputs, stage)
    finish(run_stage, whole, stage)
    expected = made(whole, stage)
    assert expected and _finished(whole)
    here, before, kills, rounds, inside = repository(folder / "0", inputs, stage), {}, 0, 0, set()
    killer = Killer(lambda: _finished(here), most=len(_finished(whole)))
    while kills < n_kills or not rounds or len(inside) < 2:
        if killer.attempt(run_stage, here, stage):
            assert made(here, stage) == expected
            rounds, before = rounds + 1, {}
            here = repository(folder / str(rounds), inputs, stage)
        else:
            now = _finished(here)
            assert before.items() <= now.items(), "a finished part was lost or made again"
            inside.add(len(now))
            before, kills = now, kills + 1
    print(f"{stage.module}: {kills} kills, {rounds} rounds to the end; parts finished at kills: {sorted(inside)}")


def _finished(folder):
    return present(folder / "scratch", "parts/*")
