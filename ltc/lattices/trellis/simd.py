"""Vectors of numbers inside numba kernels.

The recursions over a trellis do the same to many vectors at once, one vector in each lane. LLVM
does not find this by itself in the loops that numba writes (measured: five times slower), so
that the kernels say it: a `Vector` is 64 bytes of lanes, `load` and `store` move it between
memory and registers, and LLVM maps it to the widest registers that the processor has.

Everything here can be called from functions compiled by numba only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import extending
from numba.core import types
from numba.extending import models, register_model

__all__ = ["add", "less", "load", "maximum", "multiply", "select", "splat", "store"]

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
    """Write a vector to a contiguous array from element `index` on; integers are narrowed."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target = ir.VectorType(context.get_data_type(array.dtype), vector.lanes)
        value = args[2] if args[2].type == target else builder.trunc(args[2], target)
        pointer = _pointer(context, builder, signature, args, target)
        builder.store(value, pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


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


@intrinsic
def splat(typing: Any, like: Vector, value: Any) -> Any:
    """Return the integer in every lane, as many lanes as `like` has."""
    vector = Vector(types.int32, like.lanes)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.VectorType(ir.IntType(32), like.lanes)
        scalar = builder.trunc(args[1], ir.IntType(32))
        undefined = ir.Constant(wide, ir.Undefined)
        first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, undefined, ir.Constant(wide, [0] * like.lanes))

    return vector(like, types.int64), generate
