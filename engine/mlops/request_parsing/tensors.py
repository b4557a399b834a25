"""Parse the body of a V2 inference request to a list of values for each input."""

import math
import struct
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from mlops.columns import Column
from mlops.request_parsing.quick_requests import Values
from mlops.request_parsing.requests import limited, parse_json, problem

_NUMPY = {
    "BOOL": "?", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
    **{f"INT{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
}  # fmt: skip
_NUMBERS = frozenset(_NUMPY) - {"BOOL"}
_HEADER = b"inference-header-content-length"

Parameters = dict[str, Any] | UnsetType


class Tensor(msgspec.Struct):
    """An input: shape [n] or [n, 1]."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | UnsetType = UNSET
    parameters: Parameters = UNSET


class Output(msgspec.Struct):
    """A requested output."""

    name: str
    parameters: Parameters = UNSET


class Asked(msgspec.Struct):
    """An inference request."""

    inputs: list[Tensor]
    id: str | UnsetType = UNSET
    parameters: Parameters = UNSET
    outputs: list[Output] | UnsetType = UNSET


class _Misfit(ValueError):
    """A tensor that is not valid for an input; the message describes the expected one."""


_DECODER = msgspec.json.Decoder(Asked)


def datatype(column: Column) -> str:
    """Return the datatype of an input's tensor; for numbers, all numeric types are accepted."""
    return {float: "FP64", int: "INT64", bool: "BOOL"}.get(column.type, "BYTES")


def read_asked(body: bytes, headers: Mapping[bytes, bytes]) -> tuple[Asked, bytes]:
    """Parse a request; return it and the binary data that may follow its JSON.

    Raises:
        Unprocessable: the body is not an inference request.
    """
    binary = b""
    if (told := headers.get(_HEADER)) is not None:
        if not told.isdigit() or len(told) > 18 or int(told) > len(body):
            raise limited([problem([_HEADER.decode()], "wanted the length of the JSON", "length")])
        body, binary = body[: int(told)], body[int(told) :]
    try:
        asked = _DECODER.decode(body)
        if body.count(b":") == _keys(asked):  # see QuickParser.body
            return asked, binary
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return msgspec.convert(parse_json(body), Asked), binary
    except msgspec.ValidationError as error:
        raise limited([problem(["body"], str(error), "request")]) from None


def _keys(asked: Asked) -> int:
    parts: list[Any] = [asked, *asked.inputs, *(asked.outputs or ())]
    given = sum(
        getattr(part, name) is not UNSET for part in parts for name in part.__struct_fields__
    )
    return given + sum(len(part.parameters or ()) for part in parts)


def columns_of(asked: Asked, binary: bytes, inputs: Mapping[str, Column]) -> Values:
    """Return the values of each tensor.

    Raises:
        Unprocessable: with every tensor that does not match a column of `inputs`.
    """
    values, problems, start = Values(), [], 0
    for tensor in asked.inputs:
        size = (tensor.parameters or {}).get("binary_data_size")
        length = size if type(size) is int and size >= 0 else 0
        part = None if size is None else binary[start : start + length]
        start += length
        try:
            if tensor.name in values:
                raise _Misfit("is duplicated")
            if tensor.name not in inputs:
                raise _Misfit("no such input")
            values[tensor.name] = _values(tensor, inputs[tensor.name], part)
        except _Misfit as error:
            problems.append(problem(["inputs", tensor.name], str(error), "tensor"))
    if start != len(binary):
        told = f"wanted {start} bytes of binary data, found {len(binary)}"
        problems.append(problem(["body"], told, "tensor"))
    if problems:
        raise limited(problems)
    return values


def _values(tensor: Tensor, column: Column, binary: bytes | None) -> list[Any]:
    wanted = datatype(column)
    known = _NUMBERS if wanted in _NUMBERS else {wanted}
    if tensor.datatype not in known:
        raise _Misfit(f"wanted datatype {wanted}")
    n_rows, *rest = tensor.shape or [-1]
    if n_rows < 0 or rest not in ([], [1]):
        raise _Misfit("wanted shape [n] or [n, 1]")
    if binary is not None:
        found = _unpacked(binary, tensor.datatype)
    elif tensor.data is UNSET:
        raise _Misfit("wanted data")
    else:
        found = tensor.data
        if rest and found and isinstance(found[0], list):
            found = [v[0] if isinstance(v, list) and len(v) == 1 else v for v in found]
    if len(found) != n_rows:
        raise _Misfit(f"wanted as many values as its shape declares, found {len(found)}")
    if wanted == "BYTES":
        return [None if value == "" else value for value in found]
    if wanted == "INT64" and tensor.datatype.startswith("FP"):  # as pandas stores missing values
        return [int(v) if isinstance(v, float) and v.is_integer() else v for v in found]
    return found


def _unpacked(binary: bytes, kind: str) -> list[Any]:
    """Unpack a tensor's bytes: little-endian numbers, or texts, each after its length."""
    if kind == "BYTES":
        return _texts(binary)
    if len(binary) % np.dtype(_NUMPY[kind]).itemsize:
        raise _Misfit(f"wanted whole values of {kind}")
    values = np.frombuffer(binary, _NUMPY[kind]).tolist()
    if not kind.startswith("FP"):
        return values
    if any(map(math.isinf, values)):
        raise _Misfit("wanted finite numbers")
    return [None if value != value else value for value in values]


def _texts(binary: bytes) -> list[str]:
    found, at = [], 0
    try:
        while at < len(binary):
            (length,) = struct.unpack_from("<I", binary, at)
            text = binary[at + 4 : at + 4 + length]
            if len(text) < length:
                raise _Misfit("wanted whole texts")
            found.append(text.decode())
            at += 4 + length
    except (struct.error, UnicodeDecodeError):
        raise _Misfit("wanted texts in UTF-8, each after its length in 4 bytes") from None
    return found
