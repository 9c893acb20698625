"""Where the records of a training are kept that are no outputs, because they hold times: ``runs``."""

from __future__ import annotations

from pathlib import Path

from soundgate.runtime.scratch import out_of


def run_folder(root: Path, checkpoint: str | Path, name: str) -> Path | None:
    """Return where a training's records are kept: ``<root>/<profile>/<track>/<output>/<name>``.

    Args:
        root: of all records of a kind.
        checkpoint: of the training, in the work folder of a stage.
        name: of the training.

    Returns:
        The folder; None where the checkpoint is in no stage's work folder.
    """
    out = out_of(checkpoint)
    if out is None:
        return None
    inside = [part for part in out.parts if part not in (out.anchor, "..")]
    return root.joinpath(*inside[1:] or inside, name.replace(" ", "-"))
