"""Layers in memory: commands that execute them, and what memory must hold afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosoc.gateware.conv2d.config import Conv2DConfig
from cosoc.gateware.conv2d.isa import INSTRUCTION_BYTES, MICRO_ENTRIES, Opcode, assemble, disassemble
from tests.gateware.conv2d.layers import Layer, random_tensors
from tests.gateware.conv2d.overlap import overlapped
from tests.gateware.conv2d.programs import CONSTANTS, INPUT, OUTPUT, RESIDUAL, Instruction, build


@dataclass(frozen=True)
class Result:
    """Where a layer's result lies: pixels of `words` words, of which the channels of `values` are specified."""

    layer: Layer
    address: int
    words: int
    values: NDArray[Any]


class Image:
    """Memory, filled with random bytes, into which layers are placed one after the other.

    Attributes:
        data: the content, from address 0.
        commands: one for each layer that was placed.
    """

    def __init__(self, config: Conv2DConfig, seed: int, *, size: int = 1 << 18, first: int = 0) -> None:
        self._config = config
        self.rng = np.random.default_rng(seed)
        self.data = bytearray(self.rng.bytes(size))
        self.commands: list[dict[str, int]] = []
        self._results: list[Result] = []
        self._end = first

    def add(self, layer: Layer) -> dict[str, int]:
        """Places a layer with random operands; returns its command."""
        return self.add_program(*self._operands(layer))

    def add_overlapped(self, layers: Sequence[Layer]) -> dict[str, int]:
        """Places layers with one command for all, in which they overlap."""
        return self.add_program(overlapped(self._config, [self._operands(layer) for layer in layers]), [])

    def _operands(self, layer: Layer) -> tuple[list[Instruction], list[int]]:
        """Places all of a layer but its instructions; returns these and the base addresses."""
        tensors = random_tensors(self._config, layer, self.rng)
        program = build(self._config, layer, tensors)
        bases = [0] * 4
        bases[INPUT] = self._feature_map(tensors.x)
        bases[CONSTANTS] = self._place(program.constants)
        if tensors.residual is not None:
            bases[RESIDUAL] = self._feature_map(tensors.residual)
        values = tensors.expected(layer)
        words = -(-values.shape[2] // self._config.word_channels)
        bases[OUTPUT] = self._reserve(16 * words * values.shape[0] * values.shape[1])
        self._results.append(Result(layer, bases[OUTPUT], words, values))
        return program.instructions, bases

    def add_program(self, instructions: list[Instruction], bases: list[int]) -> dict[str, int]:
        """Places instructions; returns their command."""
        return self.add_code(assemble(instructions), bases)

    def add_code(self, code: bytes, bases: list[int]) -> dict[str, int]:
        """Places encoded instructions; returns their command."""
        address = self._place(code)
        command = {"instruction_address": address, "instruction_count": len(code) // INSTRUCTION_BYTES}
        self.commands.append(command | {f"base{i}": base for i, base in enumerate(bases)})
        return self.commands[-1]

    def clear_micro_words(self, command: dict[str, int]) -> None:
        """Sets the words of all micro-operations of a command's program to 0."""
        start = command["instruction_address"]
        program = disassemble(bytes(self.data[start : start + INSTRUCTION_BYTES * command["instruction_count"]]))
        none = {f"words{i}": 0 for i in range(MICRO_ENTRIES)}
        code = assemble((opcode, fields | none if opcode is Opcode.MICRO else fields) for opcode, fields in program)
        self.data[start : start + len(code)] = code

    def seen(self) -> set[int]:
        """The values of all results."""
        return set().union(*(set(result.values.ravel().tolist()) for result in self._results))

    def check(self, data: bytearray) -> None:
        """Every specified byte of every result is right, and nothing else was written."""
        others = np.frombuffer(bytes(data), np.uint8) == np.frombuffer(bytes(self.data), np.uint8)
        for result in self._results:
            rows, columns, channels = result.values.shape
            size = 16 * result.words * rows * columns
            stored = np.frombuffer(bytes(data[result.address : result.address + size]), result.values.dtype)
            got = stored.reshape(rows, columns, -1)[:, :, :channels]
            wrong = np.argwhere(got != result.values)
            assert not len(wrong), (
                f"{len(wrong)} of {got.size} values differ, the first at {wrong[0]}: {got[tuple(wrong[0])]}, not "
                f"{result.values[tuple(wrong[0])]}; {result.layer}"
            )
            others[result.address : result.address + size] = True
        assert others.all(), f"a byte that belongs to no result was written: {int(np.argmin(others)):#x}"

    def _feature_map(self, values: NDArray[Any]) -> int:
        """Places a tensor whose pixels are padded to whole words; what is in the padding is random."""
        rows, columns, channels = values.shape
        words = -(-channels // self._config.word_channels)
        address = self._reserve(16 * words * rows * columns)
        size = 16 * words * rows * columns
        padded = np.frombuffer(bytes(self.data[address : address + size]), values.dtype).reshape(rows, columns, -1).copy()
        padded[:, :, :channels] = values
        self.data[address : address + size] = padded.tobytes()
        return address

    def _place(self, content: bytes) -> int:
        address = self._reserve(len(content))
        self.data[address : address + len(content)] = content
        return address

    def _reserve(self, size: int) -> int:
        address = self._end
        self._end = address + -(-size // 16) * 16 + 16 * int(self.rng.integers(3))
        if self._end > len(self.data):
            raise ValueError(f"{len(self.data)} bytes of memory are not enough")
        return address
