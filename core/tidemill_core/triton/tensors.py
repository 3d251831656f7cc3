"""The names of a model's tensors, the same in the exported graph, config.pbtxt and every call.

Alone in a module so that a stub process does not import a gRPC client to learn them.
"""

INPUT_NAME = "input_ids"
"""INT32 [rows, sequence_length]; 0 pads."""

OUTPUT_NAME = "probabilities__0"
"""FP32 [rows, labels]; the `__0` is what NVIDIA's PyTorch backend finds the first output by."""
