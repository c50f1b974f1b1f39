"""Pickles of CIFAR batches, read by an unpickler that can make nothing but what such a batch holds.

A pickle is a program: it names functions, calls them and sets the state of what they return. Even an allow-list of
numpy's own types lets it write anywhere in memory, through a dtype with fields at any offset. Here every name stands
for an inert object that checks what it is told and keeps it; the arrays are built from the kept bytes afterwards.
"""

import io
import math
import pickle
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import numpy as np

__all__ = ["read_pickle"]

NUMBERS = frozenset("u1 u2 u4 u8 i1 i2 i4 i8 f4 f8".split())
# Opcodes of protocols 0 to 4 that make numbers, texts, lists, tuples and dictionaries, name an object, call it and
# set its state. Missing are those that call a class or an extension, and one that allocates as much as it claims.
OPCODES = ("PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE INT LONG LONG1 LONG4 BININT BININT1 BININT2 "
           "STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 UNICODE BINUNICODE "
           "SHORT_BINUNICODE BINUNICODE8 EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 "
           "EMPTY_DICT DICT SETITEM SETITEMS GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL "
           "REDUCE BUILD")


class Refused(ValueError):
    """What a pickle asks for is not part of a CIFAR batch."""


class Kind:
    """What stands for `numpy.dtype`: the name of a type of numbers. Its only state is a plain little-endian one's."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        plain = [(3, order, None, None, None, -1, -1, 0) for order in ("|", "<", b"|", b"<")]
        if state not in plain:
            raise Refused("it changes the layout of numpy's numbers")


class Array:
    """What stands for `numpy.ndarray`: its shape, kind and bytes, which must be exactly as many as these need."""

    __slots__ = ("state",)

    def __setstate__(self, state: Any) -> None:
        version, shape, kind, fortran, content = state
        sizes = type(shape) is tuple and all(type(size) is int and size >= 0 for size in shape)
        if not (version == 1 and sizes and type(kind) is Kind and fortran in (False, 0) and type(content) is bytes
                and len(content) == math.prod(shape) * int(kind.name[1])):
            raise Refused("it holds an array whose bytes are not those of its shape and type")
        self.state = shape, kind.name, content

    def values(self) -> np.ndarray:
        shape, name, content = self.state
        return np.frombuffer(content, dtype=f"<{name}").reshape(shape).copy()


class Function:
    """What stands for a function that a pickle calls. Without slots or a dictionary nothing can be set on it."""

    __slots__ = ("call",)
    call: Callable[..., Any]

    def __init__(self, call: Callable[..., Any]) -> None:
        object.__setattr__(self, "call", call)

    def __call__(self, *arguments: Any) -> Any:
        return self.call(*arguments)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise Refused("it changes a function")


def ndarray(*arguments: Any) -> NoReturn:
    raise Refused("it makes an array that no bytes fill")


def reconstruct(kind: Any, shape: Any, code: Any) -> Array:
    return Array()


def dtype(name: str | bytes, align: int = 0, copy: int = 1) -> Kind:
    name = name.decode() if isinstance(name, bytes) else name
    if not isinstance(name, str) or name not in NUMBERS:
        raise Refused(f"it holds an array of {name!r:.40}, but only plain numbers are read")
    return Kind(name)


def encode(text: str, codec: str) -> bytes:
    """Return bytes as Python 3 writes them under protocol 2."""
    if codec != "latin1":
        raise Refused(f"it asks for the codec {codec!r:.40}")
    return text.encode("latin1")


NAMES = {("numpy", "ndarray"): Function(ndarray), ("numpy", "dtype"): Function(dtype),
         ("_codecs", "encode"): Function(encode),
         ("numpy.core.multiarray", "_reconstruct"): Function(reconstruct),
         ("numpy._core.multiarray", "_reconstruct"): Function(reconstruct)}


PythonUnpickler: Any = pickle._Unpickler  # whose methods no stub names


class Unpickler(PythonUnpickler):
    """Python's own unpickler in Python: the one in C allocates as many places as an index claims."""

    dispatch = {code: method for code, method in PythonUnpickler.dispatch.items()  # noqa: RUF012 - as in the parent
                if code in {getattr(pickle, name)[0] for name in OPCODES.split()}}

    def find_class(self, module: str, name: str) -> Function:
        if (module, name) not in NAMES:
            raise Refused(f"it asks for {module}.{name}, but only numpy arrays and plain containers are admitted")
        return NAMES[module, name]

    def named(self, pairs: Iterable[Any]) -> None:
        """Refuse keys that are no texts: the hash of a deeply nested tuple exhausts the stack."""
        if not all(isinstance(key, str | bytes) for key in pairs):
            raise Refused("it holds a dictionary whose keys are no names")

    def load_setitem(self) -> None:
        self.named(self.stack[-2:-1])
        PythonUnpickler.load_setitem(self)

    def load_setitems(self) -> None:
        self.named(self.stack[::2])
        PythonUnpickler.load_setitems(self)

    def load_dict(self) -> None:
        self.named(self.stack[::2])
        PythonUnpickler.load_dict(self)

    dispatch |= {pickle.SETITEM[0]: load_setitem, pickle.SETITEMS[0]: load_setitems, pickle.DICT[0]: load_dict}


def read_pickle(content: bytes, name: str) -> dict[str, Any]:
    """Return the dictionary in the bytes of one CIFAR pickle, keys as str; ValueError naming the file if it is none.

    Its values are plain containers, numbers and texts (bytes, where Python 2 wrote them), and arrays of numbers.

    >>> read_pickle(b"", "data_batch_1")
    Traceback (most recent call last):
    ValueError: data_batch_1 cannot be read as a CIFAR pickle (EOFError): copy the file again.
    """
    try:
        found = Unpickler(io.BytesIO(content), encoding="bytes").load()
        if type(found) is not dict:
            raise Refused("it holds no dictionary")
        return {key.decode() if isinstance(key, bytes) else key:
                value.values() if type(value) is Array else value for key, value in found.items()}
    except Exception as error:  # damaged bytes make the unpickler raise nearly anything
        reason = error if isinstance(error, Refused) else type(error).__name__
        raise ValueError(f"{name} cannot be read as a CIFAR pickle ({reason}): copy the file again.") from error
