"""From a PyTorch model to a model bundle.

from cosoc.converter import convert
convert(model.eval(), example, calibration=images).save("model.bundle")
"""

from cosoc.converter.agreement import AccuracyWarning
from cosoc.converter.bundle import Bundle
from cosoc.converter.compare import LayerError, compare
from cosoc.converter.convert import convert
from cosoc.converter.errors import BundleError, ConversionError

__all__ = ["AccuracyWarning", "Bundle", "BundleError", "ConversionError", "LayerError", "compare", "convert"]
