"""Eight doubles at a time inside compiled functions: a vector type for numba, and what can be done with it.

Loops over states are short, and the compiler, which must allow for every overlap of arrays and every negative index,
leaves them scalar. Written in these terms they are vector instructions on any processor (LLVM splits a vector where
registers are narrower). What is read and written here are addresses, which unlike arrays cost no reference counts when
they are handed to inlined functions; whoever takes an address keeps the array alive. Loads may be unaligned.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import register_model

intrinsic: Any = numba_intrinsic  # called in compiled code without its first parameter, which type checkers cannot know

LANES = 8
_DOUBLE, _INTEGER = ir.DoubleType(), ir.IntType(64)
_VECTOR, _INTEGERS = ir.VectorType(_DOUBLE, LANES), ir.VectorType(_INTEGER, LANES)
_FUSE = ("contract", "nsz")


class Vector(types.Type):
    """The numba type of eight doubles."""

    def __init__(self) -> None:
        super().__init__(name="float64x8")


vector = Vector()


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


@intrinsic
def address(typing: Any, array: Any) -> Any:
    """Where the elements of a contiguous array are."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), make


@intrinsic
def beyond(typing: Any, place: Any, count: Any) -> Any:
    """The address `count` elements further on."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return place(place, types.intp), make


def _every(x: Any) -> Any:
    """A constant vector."""
    return ir.Constant(_VECTOR, [float(x)] * LANES)


@intrinsic
def get(typing: Any, place: Any, index: Any) -> Any:
    """place[index]."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.gep(args[0], [args[1]]))

    return place.dtype(place, types.intp), make


@intrinsic
def put(typing: Any, place: Any, index: Any, value: Any) -> Any:
    """place[index] = value."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return types.void(place, types.intp, place.dtype), make


@intrinsic
def load(typing: Any, place: Any, index: Any) -> Any:
    """place[index : index + 8]."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = builder.bitcast(builder.gep(args[0], [args[1]]), _VECTOR.as_pointer())
        return builder.load(start, align=8)

    return vector(place, types.intp), make


@intrinsic
def store(typing: Any, place: Any, index: Any, value: Any) -> Any:
    """place[index : index + 8] = value."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = builder.bitcast(builder.gep(args[0], [args[1]]), _VECTOR.as_pointer())
        builder.store(args[2], start, align=8)
        return context.get_dummy_value()

    return types.void(place, types.intp, vector), make


@intrinsic
def splat(typing: Any, x: Any) -> Any:
    """Eight times the same number."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        nothing, first = ir.Constant(_VECTOR, ir.Undefined), ir.Constant(ir.IntType(32), 0)
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        one = builder.insert_element(nothing, args[0], first)
        return builder.shuffle_vector(one, nothing, mask)

    return vector(types.float64), make


@njit(forceinline=True)
def spread(place, index):  # type: ignore[no-untyped-def]
    """Eight times place[index]."""
    return splat(get(place, index))


def _binary(name: str) -> Any:
    @intrinsic
    def operation(typing: Any, a: Any, b: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, name)(*args, flags=_FUSE)

        return vector(vector, vector), make

    return operation


add, subtract, multiply = _binary("fadd"), _binary("fsub"), _binary("fmul")


@intrinsic
def multiply_add(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, in one instruction where there is one."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        product = builder.fmul(args[0], args[1], flags=_FUSE)
        return builder.fadd(product, args[2], flags=_FUSE)

    return vector(vector, vector, vector), make


@intrinsic
def if_greater(typing: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """x where a > b, else y."""

    def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), args[2], args[3])

    return vector(vector, vector, vector, vector), make


def _reduction(name: str, start: float | None) -> Any:
    @intrinsic
    def reduce(typing: Any, a: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            first = [] if start is None else [ir.Constant(_DOUBLE, start)]
            kind = ir.FunctionType(_DOUBLE, [_DOUBLE] * len(first) + [_VECTOR])
            function = cgutils.get_or_insert_function(
                builder.module, kind, f"llvm.vector.reduce.{name}.v{LANES}f64"
            )
            return builder.call(function, [*first, args[0]], fastmath=("reassoc", "nsz"))

        return types.float64(vector), make

    return reduce


total = _reduction("fadd", 0.0)
largest, smallest = _reduction("fmax", None), _reduction("fmin", None)


def _lane(i: int) -> Any:
    @intrinsic
    def lane(typing: Any, a: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [i] * LANES)
            return builder.shuffle_vector(args[0], ir.Constant(_VECTOR, ir.Undefined), mask)

        return vector(vector), make

    return lane


# eight times the first, second, .. element of a vector
lane0, lane1, lane2, lane3, lane4, lane5, lane6, lane7 = (_lane(i) for i in range(LANES))

_MAGIC = 1.5 * 2.0**52  # adding it rounds to an integer, which is then in the low bits
_LN2 = (0.6931471803691238, 1.9082149292705877e-10)  # high digits, low digits


def exponential(floor: float) -> Any:
    """A compiled exp for x <= 0: right to a last bit or two, clamped to exp(floor), 0 at -inf, NaN at NaN.

    exp(x) = 2^n exp(r) with n = round(x / log 2) and a Taylor polynomial of degree 13 in |r| <= log(2) / 2.
    """

    @intrinsic
    def exp(typing: Any, x: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x = args[0]
            low = builder.fcmp_ordered("<", x, _every(floor))
            y = builder.select(low, _every(floor), x)
            shifted = builder.fadd(builder.fmul(y, _every(1 / math.log(2))), _every(_MAGIC))
            n = builder.fsub(shifted, _every(_MAGIC))
            r = y
            for part in _LN2:
                r = builder.fsub(r, builder.fmul(n, _every(part), flags=_FUSE), flags=_FUSE)
            p = _every(1 / math.factorial(13))
            for degree in range(12, -1, -1):
                p = builder.fmul(p, r, flags=_FUSE)
                p = builder.fadd(p, _every(1 / math.factorial(degree)), flags=_FUSE)
            bits = builder.shl(
                builder.bitcast(shifted, _INTEGERS), ir.Constant(_INTEGERS, [52] * LANES)
            )
            power = builder.add(bits, ir.Constant(_INTEGERS, [1023 << 52] * LANES))
            value = builder.fmul(p, builder.bitcast(power, _VECTOR))
            nothing = builder.fcmp_ordered("==", x, _every(-math.inf))
            return builder.select(nothing, _every(0.0), value)

        return vector(vector), make

    return exp
