"""Pipelined arithmetic: IEEE 754 single precision, complex block floating point, quotients of integers; with models that equal it
bit for bit.

| operator | module | latency | LUT | FF | DSP48E2 |
|---|---|---|---|---|---|
| `FloatAdd` | `add` | 6 | 520 | 300 | 0 |
| `FloatMultiply` | `multiply` | 5 | 415 | 265 | 2 |
| `FloatScale` | `scale` | 3 | 125 | 110 | 0 |
| `FloatReciprocal` | `reciprocal` | 15 | 1310 | 645 | 0 |
| `FloatDivide`, also square roots | `divide` | 32 | 1206 | 2104 | 0 |
| `IntegerDivide`, also square roots | `integer_divide` | 21 | 777 | 1361 | 0 |
| `WideNorm` | `norm` | 10 | 746 | 547 | 4 |
| `FloatSumOfProducts` | `complex` | 11 | 1350 | 830 | 4 |
| `ComplexAdd` | `complex` | 6 | 1040 | 600 | 0 |
| `ComplexMultiply` | `complex` | 11 | 2700 | 1660 | 8 |
| `FloatRootHalf`, times a constant | `multiply` | 5 | 435 | 300 | 0 |
| `ComplexEighth`, times exp(-2 pi i k / 8) | `complex` | 11 | 2190 | 1210 | 0 |
| `BlockFromFloat(16)` | `block_convert` | 5 | 230 | 220 | 0 |
| `BlockAdd(16)` | `block` | 6 | 470 | 375 | 0 |
| `BlockMultiply(16)` | `block_multiply` | 5 | 135 | 360 | 4 |
| `BlockEighth(16)`, times exp(-2 pi i k / 8) | `block_multiply` | 5 | 365 | 265 | 0 |
| `FloatFromBlock(16)` | `block_convert` | 6 | 415 | 365 | 0 |

All take operands and give a result in every cycle in which `en` is 1, and round to nearest even. Those of float32 keep subnormal
numbers, and give 0x7FC00000 for every NaN result. Integer complex products (`BlockMultiply`) have four multipliers: with the adders
of the DSP slices they cost as many slices as two real sums of products, and no adder in logic. Resources: `resources`.
"""
