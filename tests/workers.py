"""What worker processes give, without the seconds that the start of each takes."""

import pickle

from soundgate.runtime import execution


def as_by_workers(monkeypatch):
    """Have items worked on as by workers: through pickle, and not in their order; tests of execution use real ones."""

    def worked_on(function, items, workers):
        sent = pickle.dumps(function)
        made = [pickle.loads(sent)(pickle.loads(pickle.dumps(item))) for item in reversed(items)]
        yield from (pickle.loads(pickle.dumps(result)) for result in reversed(made))

    monkeypatch.setattr(execution, "_map_here", worked_on)
