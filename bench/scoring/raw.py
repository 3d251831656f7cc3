"""Batch scoring without Tidemill: csv, tokenizers and ONNX Runtime, with all cores.

    python -m bench.scoring.raw MODEL_FOLDER IN OUT

It prints the rows and the seconds of a run as JSON, without the time to load the model.
"""

import csv
import json
import os
import sys
import time
from itertools import islice
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from bench import end_on_sigterm

BATCH = 256


def main(folder: Path, source: Path, output: Path) -> None:
    """Score a file."""
    manifest = json.loads((folder / "manifest.json").read_text())
    length, labels = manifest["sequence_length"], manifest["labels"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_id=0, pad_token="[PAD]")  # noqa: S106 -- a piece
    session = onnxruntime.InferenceSession(
        folder / "model.onnx", providers=["CPUExecutionProvider"]
    )
    begin, rows = time.perf_counter(), 0
    with source.open(newline="") as read, output.open("w", newline="") as write:
        lines, written = csv.DictReader(read), csv.writer(write)
        written.writerow([*(lines.fieldnames or ()), "label", "confidence"])
        while batch := list(islice(lines, BATCH)):
            encodings = tokenizer.encode_batch_fast([row["text"] for row in batch])
            ids = np.array([encoding.ids for encoding in encodings], dtype=np.int32)
            (probabilities,) = session.run(None, {"input_ids": ids})
            best = probabilities.argmax(axis=1)
            sure = probabilities.max(axis=1)
            for row, label, confidence in zip(batch, best.tolist(), sure.tolist(), strict=True):
                written.writerow([*row.values(), labels[label], round(confidence, 6)])
            rows += len(batch)
    print(json.dumps({"rows": rows, "seconds": time.perf_counter() - begin}))


if __name__ == "__main__":
    end_on_sigterm()
    main(*map(Path, sys.argv[1:]))
