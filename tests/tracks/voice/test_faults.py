"""The health monitor against planted faults: a real training of each kind, and the counting on planted records."""

import pytest

from soundgate.runtime.errors import ConfigError
from soundgate.runtime.ledger import Ledger
from soundgate.tracks.voice.faults import injecting
from soundgate.tracks.voice.faults.picture import draw_trials
from soundgate.tracks.voice.faults.running import Run, Trials, observe, observe_all
from soundgate.tracks.voice.faults.scoring import allowed_steps, score
from tests.tracks.voice.fault_cache import planted
from tests.tracks.voice.fault_settings import fault_settings, speaker
from tests.training.duel import health

FIRST = 16


def records(*alarms, n=22, off=()):
    """Records of every step; ``alarms`` are (step, rule), those in ``off`` are no checks."""
    return [
        {
            "step": step, "status": "healthy", "is_check": step not in off, "metrics": {},
            "findings": [[rule, "critical", "x"] for at, rule in alarms if at == step],
        }
        for step in range(1, n + 1)
    ]  # fmt: skip


def test_what_is_counted():
    settings = fault_settings()
    runs = {
        Run(None, 0): records(),
        Run(None, 1): records((12, "diverging")),
        Run("rate_x100", 0): records((FIRST + 3, "rate")),
        # Named, but too late.
        Run("frozen_generator", 0): records((FIRST + 5, "frozen")),
        # Something is seen, but not what it is.
        Run("constant_output", 0): records((FIRST + 1, "exploding")),
        # Seen before it was there.
        Run("detached_conditioning", 0): records((FIRST, "conditioning"), (FIRST + 4, "conditioning")),
        Run("dead_discriminator", 0): records((FIRST + 4, "vanished")),
        Run("nan_batch", 0): records((FIRST + 1, "non_finite"), off=(FIRST + 1,)),
        Run("exploding_gradient", 0): records(),
    }
    assert allowed_steps(settings, health()) == 4
    found = score(runs, settings, health())
    assert found["recall"]["value"] == 4 / 7 and found["recall"]["n"] == 7
    assert found["precision"]["value"] == 4 / 6
    assert found["false_alarm_runs"]["value"] == 0.5
    assert found["false_alarm_checks"]["value"] == 2 / (2 * 22 + 7 * FIRST)
    assert found["recall"]["ci_low"] == pytest.approx(0.2505, abs=1e-3)  # Wilson, 4 of 7.
    faults = found["faults"]
    assert faults["rate_x100"] == {"n_runs": 1, "n_detected": 1, "most_steps": 3, "median_steps": 3.0}
    assert faults["frozen_generator"] == {"n_runs": 1, "n_detected": 0, "most_steps": 5, "median_steps": 5.0}
    assert faults["exploding_gradient"] == {"n_runs": 1, "n_detected": 0, "most_steps": None, "median_steps": None}


def test_settings_without_a_fault_are_refused():
    for changes in ({"fault_epoch": 11}, {"n_faulty": 3}):
        with pytest.raises(ConfigError, match="voice.health"):
            fault_settings(**changes)


def test_a_picture_has_a_row_for_each_training(tmp_path):
    runs = {Run(None, 0): records(), Run("nan_batch", 0): records((FIRST + 1, "non_finite"))}
    draw_trials(runs, fault_settings(), tmp_path / "health.png")
    assert (tmp_path / "health.png").stat().st_size > 5000


@pytest.mark.slow
def test_a_training_with_a_fault_is_the_healthy_one_until_it_comes_and_is_caught(tmp_path, monkeypatch):
    kept = ("nan_batch", "detached_conditioning")
    monkeypatch.setattr(injecting, "FAULTS", {name: injecting.FAULTS[name] for name in kept})
    monkeypatch.setattr("soundgate.tracks.voice.faults.running.FAULTS", injecting.FAULTS)
    settings = fault_settings(n_healthy=1)
    trials = Trials(planted(tmp_path / "cache"), speaker(), settings, health(), 0, Ledger(tmp_path / "ledger"))
    seen = observe(trials, 0)
    before = {kind: [record for record in own if record["step"] <= FIRST] for kind, own in seen.items()}
    assert before["nan_batch"] == before["detached_conditioning"] == before["healthy"]
    assert [len(own) for own in seen.values()] == [22, 22, 22]
    assert not any(record["findings"] for record in seen["healthy"])
    assert [record["step"] for record in seen["nan_batch"] if record["findings"]] == [FIRST + 1]
    alarms = [record for record in seen["detached_conditioning"] if record["findings"]]
    assert alarms[0]["step"] == FIRST + 3 and alarms[0]["findings"] == [["conditioning", "critical", "swap_change"]]
    # What the ledger holds is not trained again.
    trials.ledger.once("trial-0", lambda: {"healthy": seen["healthy"][:1]})
    assert observe_all(trials) == {Run(None, 0): seen["healthy"][:1]}
