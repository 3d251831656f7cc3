"""The names of a model's tensors in the exported graph, config.pbtxt and every call.

They have their own module so that a stub process does not import a gRPC client.
"""

INPUT_NAME = "input_ids"
"""INT32 [rows, sequence_length]."""

OUTPUT_NAME = "probabilities__0"
"""FP32 [rows, labels]; NVIDIA's PyTorch backend finds the first output by the `__0`."""
