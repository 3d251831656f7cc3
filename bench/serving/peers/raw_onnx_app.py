"""tokenizers + ONNX Runtime without a server: batches of texts, one after the other.

It prints a line when it is ready, waits for a line, labels batches for SECONDS, and prints the
number of labeled texts per second.
"""

import json
import os
import time
from pathlib import Path

from classifier import OnnxClassifier
from encoder import BATCH

if __name__ == "__main__":
    texts = json.loads(Path(os.environ["TEXTS"]).read_text())
    classifier = OnnxClassifier()
    print("ready", flush=True)
    input()
    seconds, rows = float(os.environ["SECONDS"]), 0
    begin = time.perf_counter()
    while (passed := time.perf_counter() - begin) < seconds:
        start = rows % (len(texts) - BATCH)
        rows += len(classifier.classify(texts[start : start + BATCH]))
    print(rows / passed)
