"""cosoc: PyTorch models on a heterogeneous FPGA SoC.

    import cosoc
    fast = cosoc.compile(model.eval(), example, calibration=images)
    y = fast(x)

Everything else is in the packages beside: `cosoc.converter`, `cosoc.runtime`, `cosoc.gateware`, `cosoc.boards`, `cosoc.sim`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosoc.converter.compiled import compile as compile

__all__ = ["compile"]


def __getattr__(name: str) -> Any:
    """`compile` when it is first used: the other packages do without PyTorch."""
    if name == "compile":
        from cosoc.converter.compiled import compile

        return compile
    raise AttributeError(f"module 'cosoc' has no attribute {name!r}; it has {', '.join(__all__)}")
