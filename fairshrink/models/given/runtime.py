"""Which version of onnxruntime computes ONNX files, and whether it is here. Without torch."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

VERSION = "1.32.0"
"""As the lock file has it. Kernels of another version may round otherwise; it is code, and so part of keys."""


def missing() -> str | None:
    """Why an ONNX file cannot be computed here, with the remedy after "; "; None if it can."""
    try:
        found = version("onnxruntime")
    except PackageNotFoundError:
        return f"onnxruntime, which computes ONNX files, is not installed; pip install onnxruntime=={VERSION}"
    if found == VERSION:
        return None
    return f"onnxruntime {found} is installed, and scores are those of {VERSION}; pip install onnxruntime=={VERSION}"
