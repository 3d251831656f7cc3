"""Triton backend `onnxruntime`."""
