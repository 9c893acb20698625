"""A GPU that is none: tensors put on it stay where they are, but are not to meet others.

Finds what fails on a GPU alone because two tensors are on different devices, without one. What PyTorch calls inside its
own functions, and backward, is not looked at: there devices follow from the arguments.
"""

import sys

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

GPU, CPU = torch.device("cuda:0"), torch.device("cpu")
_TENSOR = torch.Tensor
# Between devices by design; the first argument says where the result is.
_BETWEEN = {
    _TENSOR.copy_,
    _TENSOR.__setitem__,
    _TENSOR.data.__set__,
    _TENSOR.grad.__set__,
    torch._has_compatible_shallow_copy_type,
}
_READ_BY_NUMPY = {_TENSOR.numpy, _TENSOR.__array__}
# The program waits until the GPU has computed what it asks for, or how much there will be of it.
_WAITED_FOR = {
    _TENSOR.item, _TENSOR.tolist, _TENSOR.__bool__, _TENSOR.__float__, _TENSOR.__int__, _TENSOR.__index__,
    _TENSOR.nonzero, torch.nonzero, _TENSOR.unique, torch.unique, _TENSOR.masked_select, torch.masked_select,
    torch.equal, _TENSOR.equal, torch.bincount,
}  # fmt: skip
# Single numbers on a CPU may meet tensors on a GPU, except where they are put beside one another.
_JOINING = {torch.cat, torch.stack, torch.concatenate, torch.concat}


class MixedDevices(RuntimeError):
    """Tensors on different devices met, or NumPy was to read one that is on a GPU."""


class PretendedGpu(TorchFunctionMode):
    """Inside, ``cuda`` is a device, and every function refuses what a GPU would."""

    def __init__(self):
        super().__init__()
        # Weak references keep the numbers of storages that are gone from being given again.
        self.there = {}
        # Where the program waited for the GPU, and by which function.
        self.waits = set()

    def __enter__(self):
        """A generator of the GPU is one of the CPU: what it draws is said to be on the GPU."""
        self._generator = generator = torch.Generator

        class Generator:
            def __new__(cls, device="cpu"):
                return generator()

        torch.Generator = Generator
        return super().__enter__()

    def __exit__(self, *reason):
        torch.Generator = self._generator
        return super().__exit__(*reason)

    def holds(self, tensor):
        """Whether a tensor is on the GPU."""
        return tensor.untyped_storage()._cdata in self.there

    def put(self, value):
        """Say of all tensors in a value that they are on the GPU."""
        for tensor in _tensors(value):
            storage = tensor.untyped_storage()
            self.there[storage._cdata] = StorageWeakRef(storage)
        return value

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function == _TENSOR.device.__get__:
            return GPU if self.holds(args[0]) else CPU
        if function in (_TENSOR.to, _TENSOR.cpu, _TENSOR.cuda):
            return self._moved(function, *args, **kwargs)
        given = _tensors((args, kwargs))
        here = [self.holds(tensor) for tensor in given]
        if function in _READ_BY_NUMPY and any(here):
            raise MixedDevices(f"{function.__name__} of a tensor on the GPU")
        if any(here) and (function in _WAITED_FOR or _picks_by_truth(function, args)):
            self.waits.add((_place(), function.__name__))
        wanted = kwargs.pop("device", None)
        if function == _TENSOR.grad.__get__ or function in _BETWEEN or function == _TENSOR.__getitem__:
            if function == _TENSOR.__getitem__ and not here[0] and any(here):
                raise MixedDevices("a tensor on the CPU at places on the GPU")
            result = function(*args, **kwargs)
            return self.put(result) if here[0] and function not in _BETWEEN else result
        self._refuse_mixed(function, given, here)
        result = function(*args, **kwargs)
        on_gpu = any(here) if wanted is None else torch.device(wanted).type == "cuda"
        return self.put(result) if on_gpu else result

    def _refuse_mixed(self, function, given, here):
        counts = [function in _JOINING or tensor.dim() > 0 for tensor in given]
        # A single number on the GPU does not follow tensors to the CPU.
        on_cpu = any(count and not own for count, own in zip(counts, here, strict=True))
        if on_cpu and any(here):
            where = [f"{'GPU' if own else 'CPU'} {list(tensor.shape)}" for tensor, own in zip(given, here, strict=True)]
            raise MixedDevices(f"{getattr(function, '__name__', function)} of {', '.join(where)}")

    def _moved(self, function, tensor, *args, **kwargs):
        before = self.holds(tensor)
        after = before if function == _TENSOR.to else function == _TENSOR.cuda
        if function == _TENSOR.to:
            if args and isinstance(args[0], _TENSOR):
                after, args = self.holds(args[0]), (args[0].dtype, *args[1:])
            else:
                device, dtype, *_ = torch._C._nn._parse_to(*args, **{k: v for k, v in kwargs.items() if k != "copy"})
                after = before if device is None else device.type == "cuda"
                args = () if dtype is None else (dtype,)
            copied = tensor.to(*args) if args else tensor
        else:
            copied = tensor
        if before and not after:
            self.waits.add((_place(), function.__name__))
        if after != before and copied.untyped_storage()._cdata == tensor.untyped_storage()._cdata:
            copied = copied.clone()
        return self.put(copied) if after else copied


def _picks_by_truth(function, args):
    """Whether items are chosen by a tensor of truth values."""
    places = _tensors(args[1]) if function in (_TENSOR.__getitem__, _TENSOR.__setitem__) else ()
    return any(tensor.dtype == torch.bool for tensor in places)


def _place():
    """Return the module and function of ours that called, or of the test that did so itself."""
    frame = caller = sys._getframe(2)
    while frame is not None and not frame.f_globals["__name__"].startswith("soundgate."):
        frame = frame.f_back
    frame = frame or caller
    return f"{frame.f_globals['__name__'].removeprefix('soundgate.')}: {frame.f_code.co_name}"


def _tensors(value):
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, _TENSOR)]
