"""The dispatcher against a model: order, waits, errors, addresses, completions, and when each happens."""

from __future__ import annotations

import random
from typing import Any

import pytest

from cosoc.gateware.conv2d.config import BASES
from cosoc.gateware.conv2d.isa import INSTRUCTIONS, NO_WAIT, UNIT_OF, Opcode, Unit
from cosoc.gateware.layout.page import Error
from tests.gateware.conv2d.dispatch.bench import Behaviour, DispatchBench
from tests.gateware.conv2d.dispatch.reference import Stream, decoded, encoded, random_instruction

FOLDS = {"fold_channels": 3, "fold_stride": 1, "words": 1, "fold_skip": 0, "twin": 0, "twin_skip": 0}
"""A LOAD that folds."""

NO_WAITS = {f"wait_{unit.name.lower()}": NO_WAIT for unit in Unit}


def random_bases(rng: random.Random) -> list[int]:
    return [rng.getrandbits(60) << 4 for _ in range(BASES)]


def fill(stream: Stream, rng: random.Random, sizes: list[int], *, waits: str = "mixed") -> Stream:
    """Adds commands with programs of random good instructions."""
    for index, size in enumerate(sizes, len(stream.commands)):
        program = [random_instruction(rng, waits=waits) for _ in range(size)]
        stream.add(program, address=0x10000 * (index + 1) + 16 * rng.randrange(8), bases=random_bases(rng))
    return stream


def broken(word: int, **fields: int) -> int:
    """The instruction with other values in some fields."""
    opcode, values = decoded(word)
    del values["opcode"]
    return encoded(opcode, values | fields)


@pytest.mark.parametrize("waits", ["none", "all", "mixed"])
@pytest.mark.parametrize("chance", [1.0, 0.5])
def test_random_programs(waits, chance):
    """Several commands at once; random durations, and with `chance` below 1 every stream stalls."""
    rng = random.Random(f"{waits} {chance}")
    stream = fill(Stream(), rng, [40, 1, 3, 70, 1, 1, 25], waits=waits)
    behaviour = Behaviour(chance, chance, chance, chance, chance)
    DispatchBench(stream, behaviour, seed=1).run(limit=8000)


@pytest.mark.parametrize("slow", list(Unit))
def test_one_slow_unit(slow):
    """The others run ahead of it as far as their waits and the queues let them."""
    rng = random.Random(int(slow))
    stream = fill(Stream(), rng, [60, 30])
    behaviour = Behaviour(durations=lambda rng, unit: 150 if unit is slow else rng.randint(1, 4))
    DispatchBench(stream, behaviour, seed=2).run(limit=12000)


def test_every_distance():
    """A unit that must stay d instructions behind another, for every distance."""
    rng = random.Random(3)
    loads = [random_instruction(rng, waits="none", opcodes=(Opcode.LOAD,)) for _ in range(12)]
    stream = Stream()
    for index, distance in enumerate([0, 1, 2, 3, 7, 11, 12, 13, 100, 253, 254, 255]):
        store = random_instruction(rng, waits="none", opcodes=(Opcode.STORE,))
        program = [*loads, broken(store, wait_load=distance)]
        stream.add(program, address=0x1000 * (index + 1), bases=random_bases(rng))
    behaviour = Behaviour(durations=lambda _, unit: 9 if unit is Unit.LOAD else 1)
    DispatchBench(stream, behaviour, seed=3).run(limit=4000)


def test_no_wait_is_no_distance():
    """With 300 unfinished stores, what waits for none of them goes on, and what waits for all but 254 does not."""
    rng = random.Random(12)
    stores = [random_instruction(rng, waits="none", opcodes=(Opcode.STORE,))] * 300
    load = random_instruction(rng, waits="none", opcodes=(Opcode.LOAD,))
    stream = Stream()
    stream.add([*stores, load, broken(load, wait_store=254)], address=0x1000, bases=random_bases(rng))
    bench = DispatchBench(stream, Behaviour(durations=lambda _, unit: 2000 if unit is Unit.STORE else 1), seed=12)
    bench.run(limit=4000)
    assert bench.starts[Unit.LOAD][0] < bench.finished_at[Unit.STORE][0] < bench.starts[Unit.LOAD][1]


def test_many_short_commands():
    """Commands of one instruction: more than can be in execution at once."""
    rng = random.Random(4)
    DispatchBench(fill(Stream(), rng, [1] * 40), Behaviour(), seed=4).run(limit=4000)


def test_rate():
    """Two cycles for each instruction, and the fetch never lets the decoder wait."""
    rng = random.Random(5)
    stream = fill(Stream(), rng, [150, 100, 50], waits="none")
    bench = DispatchBench(stream, Behaviour(durations=lambda _rng, _unit: 1), seed=5)
    bench.run(limit=2000)
    assert bench.cycles <= 2 * 300 + 60


def test_nothing_waits_for_a_transfer_of_2_kb():
    """A program of more than one transfer is asked for in pieces of at most 2 KB, which the bench checks."""
    rng = random.Random(6)
    for size in (63, 64, 65, 128, 129):
        DispatchBench(fill(Stream(), rng, [size], waits="none"), Behaviour(requests=0.3), seed=size).run(limit=2000)


def test_refused_commands():
    """Commands that are refused, between good ones that are executed; nothing is fetched for them."""
    rng = random.Random(7)
    program = [random_instruction(rng) for _ in range(3)]
    good: dict[str, Any] = {"address": 0x1000, "bases": random_bases(rng)}
    bad = [{"opcode": 1}, {"opcode": 255}, {"instruction_address": 0x1008}, {"instruction_count": 0}]
    bad += [{f"base{i}": good["bases"][i] + (1 << i % 4)} for i in range(BASES)]
    bad += [{"opcode": 1, "instruction_count": 0, "instruction_address": 1}, {"instruction_count": 0, "base0": 8}]
    stream = Stream()
    for fields in bad:
        stream.add(program, **good, **fields)
        if rng.random() < 0.5:
            stream.add(program, **good)
    assert {Error.BAD_OPCODE, Error.MISALIGNED, Error.BAD_LENGTH} <= set(stream.errors)
    DispatchBench(stream, Behaviour(commands=0.7, completions=0.5), seed=7).run(limit=4000)


def bad_instructions(rng: random.Random) -> list[int]:
    """Every way in which an instruction can be wrong."""

    def one(opcode: Opcode, **fields: int) -> int:
        return broken(random_instruction(rng, opcodes=(opcode,)), **fields)

    words = [one(opcode, **{name: 0}) for opcode, layout in INSTRUCTIONS.items() for name in layout.nonzero]
    words += [one(Opcode.LOAD, **FOLDS | {"fold_channels": c}) for c in (5, 6, 7)]
    words += [one(Opcode.LOAD, **FOLDS | {"fold_channels": c, "fold_stride": 0}) for c in (1, 4)]
    words += [one(Opcode.LOAD, **FOLDS | {"fold_channels": 2, "words": w}) for w in (2, 129, 255)]
    for skip in ("fold_skip", "twin_skip"):
        words.append(one(Opcode.LOAD, **FOLDS | {skip: 3}))
        words += [one(Opcode.LOAD, **FOLDS | {"fold_channels": c, skip: s}) for c in (1, 2, 4) for s in (1, 2)]
    words += [one(Opcode.LOAD, **FOLDS | {"fold_stride": s, "twin": d}) for s in range(1, 8) for d in range(s, 8)]
    words += [one(Opcode.MICRO, count=c) for c in (5, 6, 7)]
    words += [one(Opcode.GEOMETRY, phases_log2=p) for p in (2, 3, 7)]
    words += [random_instruction(rng) & ~15 | opcode for opcode in range(8, 16)]
    return words


def test_bad_instructions():
    """A program ends at its bad instruction; those before it are executed, the commands around it too."""
    rng = random.Random(8)
    stream = Stream()
    for index, word in enumerate(bad_instructions(rng)):
        program = [random_instruction(rng) for _ in range(rng.randrange(6))]
        program.insert(rng.randint(0, len(program)), word)
        stream.add(program, address=0x1000 * (index + 1), bases=random_bases(rng))
        if index % 4 == 0:
            stream.add([random_instruction(rng)], address=0x1000 * (index + 1) + 0x800, bases=random_bases(rng))
    assert stream.errors.count(Error.BAD_OPCODE) == 8
    DispatchBench(stream, Behaviour(), seed=8).run(limit=8000)


def test_loads_that_may_fold():
    """Every distance of twins that is less than the stride, every skip; and values that do not matter without folding."""
    rng = random.Random(13)
    fields = [{"fold_stride": s, "twin": d} for s in range(1, 8) for d in range(s)]
    fields += [{"fold_skip": s, "twin_skip": t} for s in range(3) for t in range(3)]
    fields += [{"fold_channels": c} for c in (1, 2, 4)]
    fields += [{"fold_channels": 0, "fold_skip": 3}, {"fold_channels": 0, "twin_skip": 3}, {"fold_channels": 0, "twin": 7}]
    load = random_instruction(rng, opcodes=(Opcode.LOAD,))
    stream = Stream()
    stream.add([broken(load, **FOLDS | more) for more in fields], address=0x1000, bases=random_bases(rng))
    assert len(stream.units[Unit.LOAD]) == len(fields)
    DispatchBench(stream, Behaviour(), seed=13).run(limit=4000)


def test_noise():
    """Programs of random bits."""
    rng = random.Random(9)
    stream = Stream()
    for index in range(60):
        stream.add([rng.getrandbits(256) for _ in range(5)], address=0x1000 * (index + 1), bases=random_bases(rng))
    assert {Error.BAD_OPCODE, Error.BAD_PARAMETER} <= set(stream.errors)
    assert sum(len(queue) for queue in stream.units.values()) >= 10
    DispatchBench(stream, Behaviour(beats=0.8), seed=9).run(limit=6000)


def test_a_unit_stuck_while_the_others_go_on():
    """Counts of few bits wrap while an instruction waits; it starts when it may, and the others are held back in time."""
    rng = random.Random(10)
    stores = [random_instruction(rng, waits="none", opcodes=(Opcode.STORE,)) for _ in range(4)]
    load = random_instruction(rng, waits="none", opcodes=(Opcode.LOAD,))
    stream = Stream()
    stream.add(stores[:1], address=0x1000, bases=random_bases(rng))
    waiting = [broken(store, wait_load=1, wait_store=0) for store in stores[1:]]
    stream.add([load, *waiting, *[load] * 1500], address=0x10000, bases=random_bases(rng))
    behaviour = Behaviour(durations=lambda _, unit: 2000 if unit is Unit.STORE else 1)
    bench = DispatchBench(stream, behaviour, seed=10, count_bits=10, prompt=False)
    bench.run(limit=16_000)
    # 128 instructions are a generation: two of them may lie between the oldest in a queue and the youngest.
    second_store = bench.starts[Unit.STORE][1]
    assert sum(start < second_store for start in bench.starts[Unit.LOAD]) <= 2 * 128


def test_the_reference_waits():
    """The bench catches an instruction that starts early: its model of what must be finished is not empty."""
    stream = fill(Stream(), random.Random(11), [50], waits="all")
    assert all(set(item.targets) == set(Unit) for queue in stream.units.values() for item in queue)
    assert {UNIT_OF[decoded(item.word)[0]] for queue in stream.units.values() for item in queue} == set(Unit)
