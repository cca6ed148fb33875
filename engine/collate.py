"""Joining the arguments of several denoiser calls into one, and slicing the output back.

Rules, enough for the UNets and transformers of diffusers 0.42 (found by reading their `forward`s
and checked per family in tests): with B the rows of a call's first argument,

- a tensor of B rows is concatenated; a 0-d tensor or a number is repeated B times first where
  calls differ in it (time steps), else passed as it is;
- a list of B things that are no such tensors (ragged samples, shapes) is concatenated;
- tuples, lists and dicts of the above are joined item by item (ControlNet residuals);
- all else must be equal in all calls and is passed once.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Hashable, Sequence
from typing import Any

import torch

from engine.errors import GenerationFailed

# Arguments that may be one value for all rows of a call and another one in the next call.
_TIME_STEPS = ("timestep", "timesteps", "t")
_FIRST = ("sample", "hidden_states", "x")
Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class NotJoinable(Exception):
    """Say why a call must run alone."""


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """What must be equal for two calls to be joined.

    Attributes:
        rows: B.
        key: equal keys join.
    """

    rows: int
    key: Hashable


class Digests:
    """Remember the digest of tensors that a run passes unchanged to each of its forwards."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[torch.Tensor, str]] = {}

    def of(self, tensor: torch.Tensor) -> str:
        """Return a hash over the tensor's bytes."""
        # A tensor that is held here is the same object at the same id, and a pipeline does not
        # write to what it passes with every step.
        known = self._known.get(id(tensor))
        if known is not None and known[0] is tensor:
            return known[1]
        data = tensor.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8)
        digest = hashlib.sha256(data.numpy().tobytes()).hexdigest()
        if len(self._known) > 64:
            self._known.clear()
        self._known[id(tensor)] = (tensor, digest)
        return digest


def signature(
    module_id: int, args: tuple[Any, ...], kwargs: dict[str, Any], digests: Digests
) -> Signature:
    """Describe a call.

    Args:
        module_id: names the network and its weights.
        args: its positional arguments.
        kwargs: its keyword arguments.
        digests: of this run.

    Raises:
        NotJoinable: if it has an argument that is not understood.
    """
    first = _first(args, kwargs)
    rows = len(first)
    parts: list[Hashable] = [module_id, len(args), tuple(sorted(kwargs))]
    for name, value in _named(args, kwargs):
        parts.append(_describe(name, value, rows, isinstance(first, torch.Tensor), digests))
    return Signature(rows, tuple(parts))


def join(calls: Sequence[Arguments]) -> Arguments:
    """Join calls of equal key into one."""
    if len(calls) == 1:
        return calls[0]
    rows = [len(_first(*call)) for call in calls]
    ragged = not isinstance(_first(*calls[0]), torch.Tensor)
    args = tuple(
        _join(_position(index), [call[0][index] for call in calls], rows, ragged)
        for index in range(len(calls[0][0]))
    )
    kwargs = {
        name: _join(name, [call[1][name] for call in calls], rows, ragged) for name in calls[0][1]
    }
    return args, kwargs


def split(output: Any, calls: Sequence[Arguments]) -> list[Any]:
    """Slice a joined call's output into one for each of `calls`.

    Raises:
        GenerationFailed: if the output has other rows than the input.
    """
    if len(calls) == 1:
        return [output]
    firsts = [_first(*call) for call in calls]
    ragged = not isinstance(firsts[0], torch.Tensor)
    total = sum(len(first) for first in firsts)
    slices, start = [], 0
    for first in firsts:
        slices.append(_slice(output, start, len(first), total, ragged))
        start += len(first)
    return slices


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    candidates = args[:1] or tuple(kwargs[name] for name in _FIRST if name in kwargs)[:1]
    if candidates:
        first = candidates[0]
        if isinstance(first, torch.Tensor) and first.ndim > 0 and len(first) > 0:
            return first
        if isinstance(first, list) and first:
            return first
    raise NotJoinable("the first argument is no batch of samples")


def _position(index: int) -> str:
    # Every denoiser of diffusers takes (sample, timestep, ...) or (x, t, ...).
    return "timestep" if index == 1 else ""


def _named(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(_position(index), value) for index, value in enumerate(args)] + sorted(kwargs.items())


def _describe(name: str, value: Any, rows: int, dense: bool, digests: Digests) -> Hashable:
    """Return what must be equal about one argument."""
    if name in _TIME_STEPS and _is_single(value):
        return ("time step", value.dtype if isinstance(value, torch.Tensor) else type(value))
    if isinstance(value, torch.Tensor):
        place = (str(value.dtype), str(value.device))
        if value.ndim > 0 and len(value) == rows:
            return ("rows", tuple(value.shape[1:]), *place)
        return ("same", tuple(value.shape), *place, digests.of(value))
    if isinstance(value, dict):
        return tuple(
            (key, _describe(str(key), value[key], rows, dense, digests)) for key in sorted(value)
        )
    if isinstance(value, list | tuple):
        if _is_row_list(value, rows, dense):
            if not dense:
                # Ragged networks take any lengths; only what must match is compared.
                return ("ragged", *sorted({_ragged(item) for item in value}, key=repr))
            # Rotary positions of all rows are made from one of them (QwenImage's img_shapes).
            rows_of = {_describe(name, item, rows, dense, digests) for item in value}
            return ("row list", type(value), *sorted(rows_of, key=repr))
        return (type(value), *(_describe(name, item, rows, dense, digests) for item in value))
    if value is None or isinstance(value, bool | int | float | str | torch.dtype):
        return (type(value), value)
    raise NotJoinable(f"argument {name!r} is a {type(value).__name__}")


def _is_single(value: Any) -> bool:
    return isinstance(value, int | float) or (isinstance(value, torch.Tensor) and value.ndim == 0)


def _is_row_list(value: Sequence[Any], rows: int, dense: bool) -> bool:
    """Whether a list holds one thing for each row."""
    if len(value) != rows or not value:
        return False
    if not dense:
        return all(isinstance(item, torch.Tensor | list) for item in value)
    # A list of B tensors of B rows each is a list of batches (residuals), not of samples.
    return not any(
        isinstance(item, torch.Tensor) and (item.ndim == 0 or len(item) == rows) for item in value
    ) and not all(isinstance(item, bool | int | float | str) for item in value)


def _ragged(item: Any) -> Hashable:
    if isinstance(item, torch.Tensor):
        # Channels first in images (C, F, H, W), last in text (length, features).
        fixed = item.shape[0] if item.ndim > 2 else item.shape[-1]
        return (item.ndim, int(fixed), str(item.dtype), str(item.device))
    return type(item).__name__


def _join(name: str, values: list[Any], rows: list[int], ragged: bool) -> Any:
    first = values[0]
    if name in _TIME_STEPS and _is_single(first):
        if all(isinstance(value, int | float) for value in values):
            # As long as it is one number, the network may treat it as it likes.
            if all(value == first for value in values):
                return first
            values = [torch.tensor(value) for value in values]
        return torch.cat([v.expand(count) for v, count in zip(values, rows, strict=True)])
    if isinstance(first, torch.Tensor):
        if first.ndim > 0 and len(first) == rows[0]:
            return torch.cat(values)
        return first
    if isinstance(first, dict):
        return {
            key: _join(str(key), [value[key] for value in values], rows, ragged) for key in first
        }
    if isinstance(first, list | tuple):
        if _is_row_list(first, rows[0], not ragged):
            return type(first)(item for value in values for item in value)
        return type(first)(
            _join(name, [value[index] for value in values], rows, ragged)
            for index in range(len(first))
        )
    return first


def _slice(output: Any, start: int, count: int, total: int, ragged: bool) -> Any:
    if isinstance(output, torch.Tensor):
        if output.ndim == 0 or len(output) != total:
            raise GenerationFailed(
                f"A joined forward of {total} rows answered with shape {tuple(output.shape)}.",
                hint="Ask with deterministic=True; it then runs alone.",
            )
        return output[start : start + count]
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        # A diffusers BaseOutput: an ordered dict that is a dataclass.
        return type(output)(
            **{
                field.name: _slice(getattr(output, field.name), start, count, total, ragged)
                for field in dataclasses.fields(output)
            }
        )
    if isinstance(output, list | tuple):
        if ragged and len(output) == total and not isinstance(output, tuple):
            return output[start : start + count]
        return type(output)(_slice(item, start, count, total, ragged) for item in output)
    return output
