"""Multiply-accumulates of a TensorFlow graph: those of convolutions, dense layers and matrix products."""

import math
from collections.abc import Callable, Iterable

from medseg.tf_shared import tf

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")


def count(function: Callable[..., tf.Tensor], *specs: tf.TensorSpec) -> int | None:
    """Multiply-accumulates of ``function`` on tensors of static shapes; None where those of an operation are not."""
    graph = tf.function(function).get_concrete_function(*specs).graph
    try:
        return _of(graph)
    except ValueError:  # the shape of an operation is known when it runs
        return None


def _of(graph: tf.Graph) -> int:
    total = 0
    for op in graph.get_operations():
        if op.type in _COUNTED:
            total += _COUNTED[op.type](op)
        elif op.type in _CALLS:
            total += _of(graph._get_function(op.get_attr("f").name).graph)
    return total


def _shape(tensor: tf.Tensor) -> list[int]:
    return tensor.shape.as_list() if tensor.shape.is_fully_defined() else _unknown(tensor)


def _unknown(tensor: tf.Tensor) -> list[int]:
    raise ValueError(f"{tensor.name} has the shape {tensor.shape}")


def _convolution(op: tf.Operation) -> int:
    """Every value of the output is a sum over the filter's height, width and input channels (of its group)."""
    return math.prod(_shape(op.outputs[0])) * math.prod(_shape(op.inputs[1])[:3])


def _depthwise(op: tf.Operation) -> int:
    return math.prod(_shape(op.outputs[0])) * math.prod(_shape(op.inputs[1])[:2])


def _transposed(op: tf.Operation) -> int:
    """Every value of what goes in is spread over the filter's height, width and output channels."""
    _sizes, kernel, values = op.inputs
    return math.prod(_shape(values)) * math.prod(_shape(kernel)[:3])


def _product(op: tf.Operation) -> int:
    turned = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
    return math.prod(_shape(op.outputs[0])) * _shape(op.inputs[0])[-2 if turned else -1]


def _einsum(op: tf.Operation) -> int:
    """The product of all sizes that its letters stand for; what an ellipsis stands for counts once."""
    if len(op.inputs) < 2:
        return 0
    letters = op.get_attr("equation").decode().split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for written, tensor in zip(letters, op.inputs, strict=True):
        for letter, size in zip(_spelled(written, len(tensor.shape)), _shape(tensor), strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    return math.prod(sizes.values())


def _spelled(written: str, rank: int) -> Iterable[str]:
    """A letter for every axis; those of an ellipsis are numbered from its end."""
    if "..." not in written:
        return written
    before, after = written.split("...")
    hidden = rank - len(before) - len(after)
    return [*before, *(str(hidden - place) for place in range(hidden)), *after]


_COUNTED: dict[str, Callable[[tf.Operation], int]] = {
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _depthwise,
    "Conv2DBackpropInput": _transposed,
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _product),
    "Einsum": _einsum,
}
