"""The same work with pandas and datasketch, measured: `python -m bench.data.baseline FOLDER`.

It does what a careful script would do: read all rows, clean and normalize their texts, drop
duplicates, find near duplicates by MinHash LSH with the same windows, number of values and
threshold, split by hash, and write Parquet. It prints seconds, the peak of resident memory in bytes
and the number of rows kept, as JSON.
"""

import hashlib
import json
import resource
import sys
import time
import unicodedata
from pathlib import Path

import pandas as pd
from datasketch import MinHash, MinHashLSH

from bench import end_on_sigterm

_VALUES = 128
_THRESHOLD = 0.85
_WINDOW = 5


def main() -> None:
    """Build from the Parquet files in FOLDER/rows."""
    folder = Path(sys.argv[1])
    start = time.perf_counter()
    rows = pd.read_parquet(folder / "rows")
    texts = rows["text"].map(lambda text: unicodedata.normalize("NFC", text))
    rows["text"] = texts.str.replace(r"\s+", " ", regex=True).str.strip()
    rows = rows[rows["text"] != ""]
    rows["form"] = rows["text"].str.lower()
    rows = rows.drop_duplicates("form")
    rows["hash"] = rows["form"].map(lambda form: hashlib.sha256(form.encode()).hexdigest())
    rows["split"] = rows["hash"].map(_split)
    rows = rows.sort_values(["split", "hash"])
    kept = rows[_is_first_of_its_kind(rows["form"])].drop(columns="form")
    kept.to_parquet(folder / "baseline.parquet")
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak_bytes": peak, "rows_kept": len(kept)}))


def _is_first_of_its_kind(forms: "pd.Series[str]") -> list[bool]:
    index = MinHashLSH(threshold=_THRESHOLD, num_perm=_VALUES)
    first = []
    for number, form in enumerate(forms):
        signature = MinHash(num_perm=_VALUES)
        data = form.encode()
        ends = range(max(len(data) - _WINDOW + 1, 1))
        signature.update_batch([data[place : place + _WINDOW] for place in ends])
        first.append(not index.query(signature))
        if first[-1]:
            index.insert(number, signature)
    return first


def _split(digest: str) -> str:
    bucket = int(digest[:16], 16) % 100
    return "a test" if bucket < 10 else "b train"


if __name__ == "__main__":
    end_on_sigterm()
    main()
