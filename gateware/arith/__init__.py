"""Pipelined IEEE 754 single-precision operators, and the NumPy arithmetic that equals them bit for bit.

| operator | module | latency | LUT | FF | DSP48E2 |
|---|---|---|---|---|---|
| `FloatAdd` | `add` | 5 | 460 | 215 | 0 |
| `FloatMultiply` | `multiply` | 5 | 415 | 265 | 2 |
| `FloatReciprocal` | `reciprocal` | 15 | 1310 | 645 | 0 |
| `FloatSumOfProducts` | `complex` | 10 | 1290 | 745 | 4 |
| `ComplexMultiply` | `complex` | 10 | 2580 | 1490 | 8 |

All take operands and give a result in every cycle in which `en` is 1, round to nearest even, keep subnormal numbers, and give
0x7FC00000 for every NaN result. Resources: `resources`.
"""
