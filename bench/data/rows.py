"""Rows made from arXiv titles, with a known share of exact and near duplicates."""

import lzma
import random
from collections.abc import Iterator
from pathlib import Path

import polars as pl

TITLES = Path(__file__).parents[2] / "examples" / "arxiv" / "titles_1989_2014.tsv.xz"
EXACT_SHARE = 0.20
NEAR_SHARE = 0.05
_FILE_ROWS = 250_000
_RECENT = 200_000
_COLUMNS = ("id", "text", "label")

Row = tuple[int, str, str]


def write_rows(folder: Path, first: int, count: int, seed: int) -> None:
    """Write `count` rows, numbered from `first`, as Parquet files."""
    folder.mkdir(parents=True, exist_ok=True)
    made = _made(random.Random(seed))  # noqa: S311 -- not for security
    for start in range(first, first + count, _FILE_ROWS):
        end = min(start + _FILE_ROWS, first + count)
        rows = [(number, *next(made)) for number in range(start, end)]
        frame = pl.DataFrame(rows, schema=_COLUMNS, orient="row")
        frame.write_parquet(folder / f"rows-{start:08d}.parquet")


def _made(chance: random.Random) -> Iterator[tuple[str, str]]:
    """Yield texts and labels without end."""
    titles = _titles()
    recent: list[tuple[str, str]] = []
    while True:
        drawn = chance.random()
        if recent and drawn < EXACT_SHARE:
            text, label = chance.choice(recent)
            yield chance.choice((text, text.upper(), f"  {text}\n")), label
        elif recent and drawn < EXACT_SHARE + NEAR_SHARE:
            text, label = chance.choice(recent)
            yield f"{text}{chance.choice('?!.;')}", label
        else:
            text, label = _mixed(titles, chance)
            if len(recent) < _RECENT:
                recent.append((text, label))
            else:
                recent[chance.randrange(_RECENT)] = (text, label)
            yield text, label


def _mixed(titles: list[tuple[str, str]], chance: random.Random) -> tuple[str, str]:
    """Return half of a title with half of another, and the first title's label."""
    (label, head), (_, tail) = chance.choice(titles), chance.choice(titles)
    words, others = head.split(), tail.split()
    return " ".join(words[: len(words) // 2 + 1] + others[len(others) // 2 :]), label


def _titles() -> list[tuple[str, str]]:
    """Return (label, title) of each paper."""
    with lzma.open(TITLES, "rt", encoding="utf-8") as file:
        next(file)
        lines = (line.rstrip("\n").split("\t") for line in file)
        return [(label, title) for _, _, label, title in lines]
