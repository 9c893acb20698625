"""TensorFlow Lite models that stream: run frame by frame on one thread by LiteRT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from soundgate.runtime.errors import ConfigError, WeightsError

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter


def make_interpreter(model: Tensor, name: str) -> Interpreter:
    """Return an interpreter of a model, its state as at the start of a stream.

    A new one for each stream takes 2 ms. Differs: `reset_all_variables` puts zeros where these models begin with other
    values, so that a stream after it is not the stream of a new interpreter.

    Args:
        model: uint8 [n], the file's content.
        name: what an error is about.

    Raises:
        ConfigError: LiteRT is not installed.
        WeightsError: the file is no model that LiteRT runs.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        expected = "library ai-edge-litert, which there is for Linux (x86-64, arm64), macOS (arm64), Windows (x86-64)"
        remedy = "Install it, or use another codec: gain_shape needs neither a library nor weights."
        raise ConfigError("codec lyra", expected=expected, found=str(error), remedy=remedy) from error
    try:
        interpreter = Interpreter(model_content=model.cpu().numpy().tobytes(), num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        found = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise WeightsError(name, expected="a TensorFlow Lite model", found=found) from error
    return interpreter


def require_stream(model: Tensor, name: str, n_in: int, n_out: int) -> None:
    """Refuse a model that does not turn frames of one size into frames of another.

    Args:
        model: uint8 [n], the file's content.
        name: what an error is about.
        n_in, n_out: values in a frame.

    Raises:
        ConfigError: LiteRT is not installed.
        WeightsError: the file is no model that LiteRT runs, or one of other sizes.
    """
    interpreter = make_interpreter(model, name)
    details = interpreter.get_input_details(), interpreter.get_output_details()
    found = [[int(np.prod(each["shape"])) for each in side] for side in details]
    if found != [[n_in], [n_out]]:
        raise WeightsError(name, expected=f"one input of {n_in} values, one output of {n_out}", found=str(found))


def run_stream(model: Tensor, name: str, frames: np.ndarray) -> np.ndarray:
    """Run a model of one input and one output over the frames of one stream, from its start.

    Args:
        model: uint8 [n], the file's content.
        name: what an error is about.
        frames: float32 [L, n_in].

    Returns:
        float32 [L, n_out].
    """
    interpreter = make_interpreter(model, name)
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = np.empty((len(frames), int(np.prod(made["shape"]))), np.float32)
    shaped = np.ascontiguousarray(frames, np.float32).reshape(len(frames), *given["shape"])
    for frame, output in zip(shaped, outputs, strict=True):
        interpreter.set_tensor(given["index"], frame)
        interpreter.invoke()
        output[:] = interpreter.get_tensor(made["index"]).reshape(-1)
    return outputs
