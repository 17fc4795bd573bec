"""Commands for FFT tests, and where their operands lie."""

from __future__ import annotations

from cosoc.gateware.fft.config import COMMAND, MIN_LOG2, FFTConfig, FFTOperation

SAMPLE_BYTES = 8
FIELDS = [item.name for item in COMMAND]


def command(operation, log2_length, frames=1, source=0, target=0, **fields):
    """A command; strides that are not named put rows and frames one after the other."""
    given = dict.fromkeys(FIELDS, 0) | {
        "opcode": operation,
        "log2_length": log2_length,
        "frames": frames,
        "scaled": int(operation == FFTOperation.INVERSE),
        "in_address": source,
        "out_address": target,
    }
    given |= fields
    for operand in ("in", "out", "b"):
        rows, row_bytes = shape(given, operand)
        given[f"{operand}_row_stride"] = fields.get(f"{operand}_row_stride", row_bytes)
        stride = given[f"{operand}_row_stride"] * rows if rows > 1 else row_bytes
        given[f"{operand}_frame_stride"] = fields.get(f"{operand}_frame_stride", stride)
    return given


def shape(fields, operand):
    """Rows of a frame of an operand, and bytes of each."""
    length, columns = 1 << fields["log2_length"], 1 << fields["interleave_log2"]
    if columns == 1:
        return 1, SAMPLE_BYTES * (length + (fields["real"] and operand == "out"))
    if fields["transpose"] and operand != "in":
        return columns, SAMPLE_BYTES * length
    return length, SAMPLE_BYTES * columns


def extent(fields, operand):
    """Bytes from the first to the last of an operand."""
    rows, row_bytes = shape(fields, operand)
    frames = (fields["frames"] - 1) * fields[f"{operand}_frame_stride"]
    return frames + (rows - 1) * fields[f"{operand}_row_stride"] + row_bytes


def random_command(rng, config: FFTConfig, memory_bytes, *, max_samples=512):
    """A good command of any kind, with gaps between rows and frames; it reads the lower half of memory and writes the upper one."""
    while True:
        log2_length = rng.randint(MIN_LOG2, config.max_log2)
        columns_log2 = rng.choice([0, 0, *range(2, config.max_log2 - log2_length + 1)])
        if 1 << log2_length + columns_log2 <= max_samples:
            break
    frames = rng.randint(1, max(1, min(6, max_samples >> log2_length + columns_log2)))
    options = [{"scaled": rng.randint(0, 1), "transpose": rng.randint(0, 1)}]
    if config.real_input and not columns_log2:
        options.append({"real": 1, "opcode": 0})
    if config.multiply:
        options.append({"multiply": 1, "conjugate": rng.randint(0, 1), "transpose": rng.randint(0, 1)})
    fields = command(rng.choice(list(FFTOperation)), log2_length, frames, interleave_log2=columns_log2) | rng.choice(options)
    fields["scaled"] &= not fields["real"]
    half = memory_bytes // 2
    for operand, base, size in (("in", 0, half // 2), ("b", half // 2, half // 2), ("out", half, half)):
        rows, row_bytes = shape(fields, operand)
        gap = rng.choice([0, 0, 16, 48])
        fields[f"{operand}_row_stride"] = row_bytes + gap
        frame = row_bytes if rows == 1 else rows * (row_bytes + gap)
        padding = rng.choice([0, 0, 16, 240]) + (frame % 16 if rng.random() < 0.5 or not fields["real"] else 0)
        fields[f"{operand}_frame_stride"] = frame if (frame + padding) % 16 else frame + padding
        if operand == "b" and rng.random() < 0.3:
            fields["b_frame_stride"] = 0
        if operand == "b" and rng.random() < 0.2:
            fields["b_row_stride"] = 0
        space = size - extent(fields, operand)
        if space < 16:
            return random_command(rng, config, memory_bytes, max_samples=max_samples)
        fields[f"{operand}_address"] = base + 16 * rng.randrange(space // 16)
    return fields
