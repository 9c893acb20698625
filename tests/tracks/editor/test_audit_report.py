"""What the audit's report concludes from figures."""

from types import SimpleNamespace

import pandas as pd
import pytest

from soundgate.tracks.editor.audit.report import conclusions

ABOVE, AROUND, UNKNOWN = ({"ci_low": low, "ci_high": 1.0} for low in (0.1, -0.1, None))


def concluded(collapse, length):
    policy = {"over": {"imitation": ABOVE, "collapse": collapse}}
    labels = {"policy": {"duration_over": {"constant_ratio": length}, "f1": {"LOOP": 0.0, "CUT": 0.9}}}
    pairs = pd.DataFrame({"pair_id": ["a", "b"], "group": ["g", "h"]})
    return conclusions(SimpleNamespace(pairs=pairs, rewards={"policy": policy}, labels=labels))


def test_what_is_better_than_its_controls_is_not_said_to_know_nothing():
    lines = concluded(ABOVE, ABOVE)
    assert not [line for line in lines if line.startswith("Nothing shows")] and "PPO earns more" in lines[2]
    assert lines[-1] == "The policy never finds LOOP."


@pytest.mark.parametrize("estimate", [AROUND, UNKNOWN])
def test_what_is_not_is(estimate):
    assert [line for line in concluded(estimate, ABOVE) if "which beats to cut" in line]
    assert [line for line in concluded(ABOVE, estimate) if "constant share" in line]
