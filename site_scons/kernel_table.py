"""The table of CPU kernels, from the files of software/kernels: `<operation>.cpp` that defines `make_<operation>` is one.

Those of dense tensors are in the folder `dense`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def kernel_names(folder: Path) -> list[str]:
    """Operations that have a kernel, sorted; the folder's other files are what kernels share."""
    return sorted(
        path.stem
        for pattern in ("*.cpp", "dense/*.cpp")
        for path in folder.glob(pattern)
        if f"KernelResult make_{path.stem}(" in path.read_text()
    )


def kernels_header(names: Sequence[str]) -> str:
    """`cosoc/generated/kernels.hpp`: declarations of the makers, and the table of them."""
    makers = "".join(f"KernelResult make_{name}(const nlohmann::json& attributes);\n" for name in names)
    entries = "".join(f'    KernelMaker{{"{name}", make_{name}}},\n' for name in names)
    return (
        "// Generated from the names of the files in software/kernels/.\n#pragma once\n\n#include <array>\n\n"
        f'#include "kernels/operations.hpp"\n\nnamespace cosoc {{\n\n{makers}\n'
        f"inline constexpr std::array kernel_makers = {{\n{entries}}};\n\n}}  // namespace cosoc\n"
    )
