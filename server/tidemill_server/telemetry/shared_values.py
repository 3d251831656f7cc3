"""Metrics that workers share through files, each written as a whole.

prometheus_client's own values are in memory-mapped files. If the disk is full, the kernel kills a
process that writes to such a page (SIGBUS). These values are in memory, and `save` writes them
where `MultiProcessCollector` reads them. While the disk is full, other workers see old values.
"""

import contextlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prometheus_client import values
from prometheus_client.mmap_dict import mmap_key
from prometheus_client.values import MutexValue

_BEGIN = 8
"""Bytes before the first entry; the first four hold the total number of bytes."""


class SharedValues:
    """The values of one process; `share` adds those of all metrics created afterwards.

    Args:
        folder: the workers' folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, _ValueFile] = {}

    def share(self) -> None:
        """Hold the values of all metrics that are created from now on."""
        values.ValueClass = self._make

    def save(self) -> None:
        """Write all values, as far as the disk has room; for one thread at a time."""
        for file in list(self._files.values()):
            with contextlib.suppress(OSError):
                file.save()

    def _make(
        self,
        kind: str,
        metric_name: str,
        name: str,
        labelnames: Sequence[str],
        labelvalues: Sequence[str],
        help_text: str,
        multiprocess_mode: str = "",
        **_: Any,
    ) -> MutexValue:
        """Return a value; prometheus_client sets the names and order of the arguments."""
        stem = "_".join(filter(None, (kind, multiprocess_mode, str(os.getpid()))))
        value = MutexValue(kind, metric_name, name, labelnames, labelvalues, help_text)
        key = mmap_key(metric_name, name, list(labelnames), list(labelvalues), help_text)
        path = self._folder / f"{stem}.db"
        self._files.setdefault(stem, _ValueFile(path)).add(key.encode(), value)
        return value


class _ValueFile:
    """The values of one kind of metric; `prometheus_client.mmap_dict` describes the format."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_there = False
        self._content = bytearray(_BEGIN)
        self._values: list[tuple[int, MutexValue]] = []

    def add(self, key: bytes, value: MutexValue) -> None:
        padded = key + b" " * (8 - (len(key) + 4) % 8)
        self._content += struct.pack(f"i{len(padded)}sdd", len(key), padded, 0.0, 0.0)
        self._values.append((len(self._content) - 16, value))

    def save(self) -> None:
        """Write the file in place, because a full disk still has its blocks.

        Raises:
            OSError: it cannot be written; readers see the previous entries.
        """
        for position, value in list(self._values):
            struct.pack_into("d", self._content, position, value._value)
        content = bytes(self._content)
        path = self._path if self._is_there else self._path.with_suffix(".new")
        with path.open("r+b" if self._is_there else "wb", buffering=0) as file:
            _write(file.fileno(), content[_BEGIN:], _BEGIN)
            _write(file.fileno(), struct.pack("i", len(content)), 0)
        if not self._is_there:
            path.replace(self._path)
            self._is_there = True


def _write(descriptor: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
