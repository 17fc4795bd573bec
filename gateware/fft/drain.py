"""Reads the frames of the reorder buffer in the order in which they are stored in memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from cosoc.gateware.arith.complex import Complex
from cosoc.gateware.arith.float32 import Pipeline
from cosoc.gateware.fft.banks import bank_of, row_bits, stored_frame
from cosoc.gateware.fft.config import MIN_LOG2, FFTConfig
from cosoc.gateware.fft.jobs import Context, Finish, group, word_samples
from cosoc.gateware.fft.operands import LOG2_BITS

QUEUED_GROUPS = 32
"""Groups between the counters and whoever takes them: more than the stages of the way."""

STAGES_TO_ROW = 6
"""Cycles from the counters to the registers of the banks' rows."""

WORD_LATENCY = 2
"""Cycles from a bank's row to its word: those of a block RAM with its output register."""


class Drain(wiring.Component):
    """Counts the groups of each frame, finds where they lie, and puts the words of the banks in order.

    ::

        frames --> counters --> bin, column --> position in the pipeline's order --> banks, rows --> [banks] --> groups

    A group per cycle. Only the counters stop when groups are not taken: what is on the way has its place.

    Args:
        config: of the accelerator.

    Members:
        frames: those that are complete.
        row, word: of each bank, the row to read, and the word of the row of `WORD_LATENCY` cycles before.
        groups: the transforms.
        freed, freed_log2: a frame is read, whose size is 2**freed_log2 samples.
    """

    def __init__(self, config: FFTConfig) -> None:
        self._config = config
        self._banks = word_samples(config.samples)
        self._group = group(config.samples)
        super().__init__(
            {
                "frames": In(stream.Signature(stored_frame(config))),
                "row": Out(row_bits(config)).array(self._banks),
                "word": In(Complex.size).array(self._banks),
                "groups": Out(stream.Signature(self._group)),
                "freed": Out(1),
                "freed_log2": Out(LOG2_BITS),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.queue = queue = SyncFIFOBuffered(width=self._group.size, depth=QUEUED_GROUPS)
        room = Signal(range(QUEUED_GROUPS + 1), init=QUEUED_GROUPS)
        issues = Signal()
        m.d.comb += [
            self.groups.payload.eq(queue.r_data),
            self.groups.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.groups.ready),
        ]
        m.d.sync += room.eq(room - issues + (queue.r_rdy & queue.r_en))
        counted = self._count(m, issues, room != 0)
        self._read(m, issues, self._place(m, counted), queue)
        return m

    def _count(self, m: Module, issues: Signal, may_issue: Value) -> SimpleNamespace:
        """Two nested counters: bins inside columns, or columns inside bins. A frame is prepared while the one before is counted."""
        begins, prepares, inner_ends, last = Signal(), Signal(), Signal(), Signal()
        prepared = self._prepare(m, prepares)
        current = {name: Signal.like(value, name=f"current_{name}") for name, value in prepared.items()}
        bits = self._config.max_log2 + 1
        inner, outer, mirror = (Signal(bits, name=name) for name in ("inner", "outer", "mirror"))
        m.d.comb += [
            begins.eq(~current["active"] | (issues & last)),
            prepares.eq(~prepared["active"] | begins),
            issues.eq(current["active"] & may_issue),
            inner_ends.eq(inner == current["inner_last"]),
            last.eq(inner_ends & (outer == current["outer_last"])),
        ]
        with m.If(issues):
            m.d.sync += [inner.eq(inner + Mux(current["real"], 1, self._banks)), mirror.eq(mirror - 1)]
            with m.If(inner_ends):
                m.d.sync += [inner.eq(0), mirror.eq(0), outer.eq(Mux(last, 0, outer + 1))]
        with m.If(begins):
            m.d.sync += [register.eq(prepared[name]) for name, register in current.items()]
        bins_inside = current["bins_inside"]
        return SimpleNamespace(
            stored=current["stored"],
            real=current["real"],
            bins_inside=bins_inside,
            first=(inner == 0) & (outer == 0),
            last=last,
            bin=Mux(bins_inside, inner, outer),
            column=Mux(bins_inside, outer, inner),
            mirror=mirror,
        )

    def _prepare(self, m: Module, prepares: Signal) -> dict[str, Signal]:
        """The next frame and the last values of its counters."""
        bits = self._config.max_log2 + 1
        frame = data.View(stored_frame(self._config), self.frames.payload).frame
        context = data.View(Context, frame.context)
        masks = []  # N - 1 and W - 1
        for name in ("log2_length", "interleave_log2"):
            mask = Signal(self._config.max_log2, name=f"{name}_mask")
            with m.Switch(frame[name]):
                for log2 in range(self._config.max_log2 + 1):
                    with m.Case(log2):
                        m.d.comb += mask.eq((1 << log2) - 1)
            masks.append(mask)
        bins, columns = masks
        real = context.finish == Finish.REAL
        bins_inside = (frame.interleave_log2 == 0) | context.transpose
        inner = Mux(bins_inside, bins, columns) & ~Const(self._banks - 1, bits)
        values: dict[str, tuple[Any, Any]] = {
            "active": (1, self.frames.valid),
            "stored": (stored_frame(self._config), self.frames.payload),
            "real": (1, real),
            "bins_inside": (1, bins_inside),
            "inner_last": (bits, Mux(real, bins + 1, inner)),
            "outer_last": (bits, Mux(bins_inside, columns, bins)),
        }
        registers = {name: Signal(shape, name=f"prepared_{name}") for name, (shape, _) in values.items()}
        m.d.comb += self.frames.ready.eq(prepares)
        with m.If(prepares):
            m.d.sync += [registers[name].eq(value) for name, (_, value) in values.items()]
        return registers

    def _place(self, m: Module, counted: SimpleNamespace) -> SimpleNamespace:
        """Bank and row of each element of a group, in the registers of stage 5."""
        pipeline = Pipeline(m, Const(1))
        now = self._stage(pipeline, **vars(counted))
        # 2: the bits of the bin in reverse order
        now = self._stage(
            pipeline,
            **self._without(now, "bin", "mirror"),
            reversed_bin=self._reversed(m, now.bin, now.stored, "bin"),
            reversed_mirror=self._reversed(m, now.mirror, now.stored, "mirror"),
        )
        # 3: the position of the first element; frames of real signals have one column
        position = now.reversed_bin << now.stored.frame.interleave_log2 | now.column
        now = self._stage(pipeline, **self._without(now, "reversed_bin", "column"), position=position[: self._config.max_log2])
        # 4: those of all: neighbouring bins differ in the highest bits, neighbouring columns in the lowest ones
        elements = {}
        for element in range(self._banks):
            high = Signal(self._config.max_log2, name=f"high{element}")
            with m.Switch(now.stored.frame_log2):
                for log2 in range(MIN_LOG2, self._config.max_log2 + 1):
                    with m.Case(log2):
                        m.d.comb += high.eq(int(f"{element:0{ceil_log2(self._banks)}b}"[::-1], 2) << log2 - ceil_log2(self._banks))
            place = now.position | Mux(now.bins_inside, high, element)
            elements[f"position{element}"] = Mux(now.real, now.reversed_mirror if element else now.position, place)
        now = self._stage(pipeline, **self._without(now, "position", "reversed_mirror", "bins_inside", "real"), **elements)
        # 5: banks and rows
        banks, rows = {}, {}
        for element in range(self._banks):
            position, bank = getattr(now, f"position{element}"), Signal(ceil_log2(self._banks), name=f"bank_of{element}")
            with m.Switch(now.stored.frame_log2):
                for log2 in range(MIN_LOG2, self._config.max_log2 + 1):
                    with m.Case(log2):
                        m.d.comb += bank.eq(bank_of(position, log2, self._banks))
            banks[f"bank{element}"] = bank
            rows[f"row{element}"] = (now.stored.base + (position >> ceil_log2(self._banks)))[: row_bits(self._config)]
        names = [f"position{element}" for element in range(self._banks)]
        return self._stage(pipeline, **self._without(now, *names), **banks, **rows)

    def _read(self, m: Module, issues: Signal, placed: SimpleNamespace, queue: Any) -> None:
        """Rows to the banks, and their words, in order, to the queue."""
        pipeline = Pipeline(m, Const(1))
        banks = [getattr(placed, f"bank{element}") for element in range(self._banks)]
        for bank in range(self._banks):
            for element in range(self._banks):
                with m.If(banks[element] == bank):
                    m.d.sync += self.row[bank].eq(getattr(placed, f"row{element}"))
        valid = Signal(STAGES_TO_ROW + WORD_LATENCY + 1)
        m.d.sync += valid.eq(Cat(issues, valid))
        stored = pipeline.delay(placed.stored, 1, "stored")
        last = pipeline.delay(placed.last, 1, "last")
        m.d.comb += [
            self.freed.eq(valid[STAGES_TO_ROW - 1] & last),
            self.freed_log2.eq(data.View(stored_frame(self._config), stored).frame_log2),
        ]
        delay = 1 + WORD_LATENCY
        late = [pipeline.delay(bank, delay, f"late_bank{element}") for element, bank in enumerate(banks)]
        words = Array(self.word)
        written = data.View(self._group, queue.w_data)
        frame = data.View(stored_frame(self._config), pipeline.delay(placed.stored, delay + 1, "late_stored")).frame
        ordered = pipeline.stage(samples=Cat(words[bank] for bank in late))
        m.d.comb += [
            queue.w_en.eq(valid[-1]),
            written.samples.eq(ordered.samples),
            written.context.eq(frame.context),
            written.log2_length.eq(frame.log2_length),
            written.first.eq(pipeline.delay(placed.first, delay + 1, "late_first")),
            written.last.eq(pipeline.delay(placed.last, delay + 1, "late_last")),
        ]

    def _stage(self, pipeline: Pipeline, **values: Any) -> SimpleNamespace:
        """Registers; what is `stored` keeps its layout."""
        stage = pipeline.stage(**values)
        stage.stored = data.View(stored_frame(self._config), stage.stored)
        return stage

    def _without(self, stage: SimpleNamespace, *names: str) -> dict[str, Any]:
        return {name: value for name, value in vars(stage).items() if name not in names}

    def _reversed(self, m: Module, value: Any, stored: Any, name: str) -> Signal:
        """The low `log2_length` bits in reverse order."""
        result = Signal(self._config.max_log2, name=f"reversed_{name}")
        with m.Switch(stored.frame.log2_length):
            for log2 in range(MIN_LOG2, self._config.max_log2 + 1):
                with m.Case(log2):
                    m.d.comb += result.eq(Cat(reversed(value[:log2])))
        return result
