"""Pipelined IEEE 754 single-precision operators, and the NumPy arithmetic that equals them bit for bit.

| operator | module | latency |
|---|---|---|
| `FloatAdd` | `add` | 5 |
| `FloatMultiply` | `multiply` | 5 |
| `FloatReciprocal` | `reciprocal` | 15 |
| `FloatSumOfProducts` | `complex` | 10 |
| `ComplexMultiply` | `complex` | 10 |

All take operands and give a result in every cycle in which `en` is 1, round to nearest even, keep subnormal numbers, and give
0x7FC00000 for every NaN result.
"""
