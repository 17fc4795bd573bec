"""Operations on dense tensors: everything that has no int8 kernel, computed in float32, int64, bool and complex64."""

from cosoc.converter.dense import elementwise, fourier, indexing, linear, movement, pooling, reductions, sequences
from cosoc.converter.dense.call import LOWERINGS, Call, DenseBuilder, Value, View
from cosoc.converter.dense.operation import OPERATIONS, TORCH_DTYPES, DenseOperation, as_array, dense_dtype

__all__ = [
    "LOWERINGS",
    "OPERATIONS",
    "TORCH_DTYPES",
    "Call",
    "DenseBuilder",
    "DenseOperation",
    "Value",
    "View",
    "as_array",
    "dense_dtype",
    "elementwise",
    "fourier",
    "indexing",
    "linear",
    "movement",
    "pooling",
    "reductions",
    "sequences",
]
