"""Vectors of numbers inside numba kernels.

The recursions over a trellis do the same to many vectors at once, one vector in each lane. LLVM
does not find this by itself in the loops that numba writes (measured: five times slower), so
that the kernels say it: a `Vector` is 64 bytes of lanes, `load` and `store` move it between
memory and registers, and LLVM maps it to the widest registers that the processor has.

Everything here can be called from functions compiled by numba only.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import extending
from numba.core import types
from numba.extending import models, register_model

from ltc.compiled import compiled

__all__ = [
    "add",
    "aligned",
    "less",
    "load",
    "maximum",
    "multiply",
    "select",
    "store",
    "store_bits",
]

BYTES = 64

# Called without the typing context that stands first in the definition.
intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = extending.intrinsic


class Vector(types.Type):
    """The numba type of a vector: so many lanes of a scalar type."""

    def __init__(self, scalar: types.Type, lanes: int) -> None:
        self.scalar = scalar
        self.lanes = lanes
        super().__init__(name=f"Vector({scalar}, {lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        boolean = vector.scalar == types.boolean
        scalar = ir.IntType(1) if boolean else manager.lookup(vector.scalar).get_value_type()
        super().__init__(  # type: ignore[no-untyped-call]
            manager, vector, ir.VectorType(scalar, vector.lanes)
        )


@compiled(inline="always")
def aligned(size: int, like: Any) -> Any:
    """Return an uninitialised array of `like`'s type that begins on a cache line."""
    room = np.empty(size + 64 // like.itemsize, like.dtype)
    skip = (-room.ctypes.data % 64) // like.itemsize
    return room[skip : skip + size]


def _pointer(context: Any, builder: Any, signature: Any, args: Any, vector: ir.VectorType) -> Any:
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.bitcast(builder.gep(array.data, [args[1]]), ir.PointerType(vector))


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """Return the vector that begins at element `index` of a contiguous array of floats."""
    vector = Vector(array.dtype, 8 * BYTES // array.dtype.bitwidth)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature, args, context.get_value_type(vector))
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return vector(array, types.intp), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, vector: Vector) -> Any:
    """Write a vector to a contiguous array of its type from element `index` on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature, args, context.get_value_type(vector))
        builder.store(args[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def store_bits(typing: Any, array: Any, index: Any, mask: Vector) -> Any:
    """Write a vector of booleans to element `index` of an array of integers, lane i as bit i."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        element = context.get_data_type(array.dtype)
        value = builder.bitcast(args[2], ir.IntType(mask.lanes))
        if mask.lanes < array.dtype.bitwidth:
            value = builder.zext(value, element)
        builder.store(value, _pointer(context, builder, signature, args, element))
        return context.get_dummy_value()

    return types.void(array, types.intp, mask), generate


@intrinsic
def add(typing: Any, a: Vector, b: Vector) -> Any:
    """Return a + b."""
    return a(a, b), lambda context, builder, signature, args: builder.fadd(*args)


@intrinsic
def multiply(typing: Any, a: Vector, b: Vector) -> Any:
    """Return a * b."""
    return a(a, b), lambda context, builder, signature, args: builder.fmul(
        *args, flags=("contract",)
    )


@intrinsic
def maximum(typing: Any, a: Vector, b: Vector) -> Any:
    """Return the greater of a and b in each lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return a(a, b), generate


@intrinsic
def less(typing: Any, a: Vector, b: Vector) -> Any:
    """Return a vector of booleans, true where a < b."""
    mask = Vector(types.boolean, a.lanes)
    return mask(a, b), lambda context, builder, signature, args: builder.fcmp_ordered("<", *args)


@intrinsic
def select(typing: Any, mask: Vector, a: Vector, b: Vector) -> Any:
    """Return a where the mask is true, otherwise b."""
    return a(mask, a, b), lambda context, builder, signature, args: builder.select(*args)
