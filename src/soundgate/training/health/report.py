"""The health of a training at one step, for loops of one's own: no task, no hooks, a call after ``backward``."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from soundgate.training.health.findings import Status
from soundgate.training.health.monitor import memory_mb, undisturbed
from soundgate.training.health.records import RecordFile, finite, new_record
from soundgate.training.health.rules import judge
from soundgate.training.health.settings import HealthSettings, load_health

_N_FFT = 512


def generate_diagnostics_report(
    model: nn.Module,
    mpd: nn.Module | None,
    mrd: nn.Module | None,
    batch: object,
    device: torch.device | str,
    losses: Mapping[str, float],
    prev_losses: Mapping[str, float] | None,
    step: int,
    output_dir: str | Path,
    settings: HealthSettings | None = None,
) -> tuple[dict[str, float | None], Status]:
    """Measure a GAN's training, judge it against its own last calls, and add the record to ``diagnostics.jsonl``.

    Call it every so many steps, after ``backward`` and before gradients are cleared. It draws nothing, changes no
    weight, and leaves modes and generators as they were.

    Args:
        model: called as ``model(batch)``; one that has ``voices(batch)`` as ``model(batch, voices)``, and with the
            voices of the next items for ``probe/swap_change``. Gives sound, [B, T] or [B, 1, T], or a tuple that
            begins with it. With an attribute ``speaker``, a module from sound to embeddings, and ``voices``, also
            ``probe/speaker_similarity`` of what it makes in others' voices.
        mpd: from sound to scores: a tensor, a list of them, or a tuple that begins with either; None: there is none.
        mrd: likewise.
        batch: a tensor of sound, or something with sound under ``wav`` or ``audio`` (key or attribute).
        device: to move the batch to.
        losses: of this step by name; ``disc`` or ``discriminator``, ``gen`` or ``adversarial`` are known to the rules.
        prev_losses: of the call before.
        step: of the training; records of this and later ones are replaced.
        output_dir: gets ``diagnostics.jsonl``; its last records are what this one is judged against.
        settings: see `HealthSettings`; None: the section ``health`` of params.yaml.

    Returns:
        The figures by name (see `soundgate.training.health.rules`; None where one is not finite), and ``healthy``,
        ``warning`` or ``critical``. Reasons and remedies are in the record.
    """
    settings = settings or load_health()
    networks = {name: net for name, net in (("model", model), ("mpd", mpd), ("mrd", mrd)) if net is not None}
    figures = {f"loss/{name}": float(value) for name, value in losses.items()}
    earlier = {name: float(value) for name, value in (prev_losses or {}).items() if name in losses}
    changes = {name: float(losses[name]) - before for name, before in earlier.items()}
    figures |= {f"change/{name}": value for name, value in changes.items()}
    figures |= {"nonfinite/losses": float(sum(not math.isfinite(float(value)) for value in losses.values()))}
    figures |= _norms(networks)
    with undisturbed(networks.values()):
        probed = _heard(model, mpd, mrd, _moved(batch, torch.device(device)))
    figures |= {f"probe/{name}": float(value) for name, value in probed.items()} | memory_mb()
    metrics = finite(figures)
    records = RecordFile(Path(output_dir), step - 1)
    findings = judge([*records.checks(settings.n_kept - 1), metrics], settings)
    record = new_record(step, metrics, findings)
    records.add(record)
    return metrics, record.status


def _norms(networks: Mapping[str, nn.Module]) -> dict[str, float]:
    """Return norms of weights, and of the gradients that are there; and how many tensors are not finite."""
    figures, wrong = {}, {"parameters": 0, "gradients": 0}
    for name, network in networks.items():
        own = list(network.parameters())
        for kind, short, tensors in (
            ("parameters", "parameter", [one.detach() for one in own]),
            ("gradients", "gradient", [one.grad for one in own if one.grad is not None]),
        ):
            if tensors:
                norms = torch.stack([torch.linalg.vector_norm(one.float()) for one in tensors])
                wrong[kind] += int((~norms.isfinite()).sum())
                figures[f"{short}/{name}"] = float(norms.norm())
    return figures | {f"nonfinite/{kind}": float(count) for kind, count in wrong.items()}


def _heard(model: nn.Module, mpd: nn.Module | None, mrd: nn.Module | None, batch: object) -> dict[str, Tensor]:
    """Return what the model does to the batch, and what the discriminators say to it."""
    real, figures = _sound_in(batch), {}
    speak: Callable | None = getattr(model, "voices", None)
    voices = None if speak is None else speak(batch)
    made = _sound(model(batch) if voices is None else model(batch, voices))
    if voices is not None and len(made) > 1:
        swapped = _sound(model(batch, _rolled(voices)))
        figures["swap_change"] = (swapped - made).norm() / made.norm().clamp(min=1e-8)
        if isinstance(getattr(model, "speaker", None), nn.Module):
            asked = model.speaker(real).roll(-1, 0)
            figures["speaker_similarity"] = nn.functional.cosine_similarity(model.speaker(swapped), asked).mean()
    length = min(made.shape[-1], real.shape[-1])
    made, real = made[:, :length], real[:, :length]
    if len(made) > 1:
        figures["pairwise_ratio"] = _pairwise(made) / _pairwise(real).clamp(min=1e-8)
    for name, critic in (("mpd", mpd), ("mrd", mrd)):
        if critic is not None:
            figures |= {f"{name}_real": _score(critic(real)), f"{name}_fake": _score(critic(made))}
    return figures


def _sound_in(batch: object) -> Tensor:
    for name in ("wav", "audio"):
        if isinstance(batch, Mapping) and name in batch:
            return _sound(batch[name])
        if hasattr(batch, name):
            return _sound(getattr(batch, name))
    return _sound(batch)


def _sound(value: object) -> Tensor:
    """Return sound as [B, T]."""
    wav = value[0] if isinstance(value, tuple) else value
    assert isinstance(wav, Tensor), f"expected sound as a tensor, found {type(wav).__name__}"
    return wav.flatten(1)


def _rolled(voices: object) -> object:
    """Return the voices of the next items."""
    if isinstance(voices, tuple):
        parts = [part.roll(-1, 0) for part in voices]
        return type(voices)(*parts) if hasattr(voices, "_fields") else tuple(parts)
    return voices.roll(-1, 0)


def _pairwise(wav: Tensor) -> Tensor:
    """Return the mean distance between different items' log spectra."""
    spectra = torch.stft(wav, _N_FFT, window=torch.hann_window(_N_FFT, device=wav.device), return_complex=True)
    logs = spectra.abs().clamp(min=1e-4).log()
    pairs = itertools.combinations(range(len(logs)), 2)
    return torch.stack([(logs[one] - logs[other]).abs().mean() for one, other in pairs]).mean()


def _score(verdict: object) -> Tensor:
    scores = verdict[0] if isinstance(verdict, tuple) else verdict
    return torch.stack([part.mean() for part in ([scores] if isinstance(scores, Tensor) else scores)]).mean()


def _moved(value: object, device: torch.device) -> object:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {name: _moved(part, device) for name, part in value.items()}
    if isinstance(value, tuple):
        parts = [_moved(part, device) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value
