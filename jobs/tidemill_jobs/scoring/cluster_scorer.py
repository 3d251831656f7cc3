"""The answers of one version, asked for by the nodes of a Ray cluster, a chunk a task."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tidemill_core.triton.control import TritonControl
from tidemill_jobs.cluster import Cluster
from tidemill_jobs.scoring.answers import RowAnswers
from tidemill_jobs.scoring.reading.row import Row
from tidemill_jobs.scoring.scorer import Scorer, ServedVersion
from tidemill_jobs.scoring.turns import SmallTurns

if TYPE_CHECKING:
    from ray import ObjectRef


@dataclass(frozen=True)
class Asked:
    """What a node needs to ask for answers.

    Attributes:
        version: the version.
        triton_target: Triton's address, which each node must reach; see `addresses.named`.
        max_text_length: the longest text, in characters.
    """

    version: ServedVersion
    triton_target: str
    max_text_length: int


def answers(asked: Asked, rows: Sequence[Row]) -> RowAnswers:
    """Return the answers to rows; raises as `Scorer.finish`. Inference needs no key of Triton."""
    with (
        TritonControl(asked.triton_target, "") as triton,
        Scorer(asked.version, triton, SmallTurns(), asked.max_text_length) as scorer,
    ):
        return scorer.finish(scorer.begin(rows))


class ClusterScorer:
    """Asks for answers as `Scorer` does, on the nodes of a cluster."""

    def __init__(self, cluster: Cluster, asked: Asked) -> None:
        self.version = asked.version
        self.ahead = 2 * max(cluster.cpus, 1)
        self._cluster = cluster
        self._asked = cluster.share(asked)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.__exit__()

    def begin(self, rows: Sequence[Row]) -> "ObjectRef[RowAnswers]":
        """Start to ask about rows."""
        texts = [Row("", {}, row.text, row.problem) for row in rows]
        return self._cluster.submit(answers, self._asked, texts)

    def finish(self, pending: "ObjectRef[RowAnswers]") -> RowAnswers:
        """Return the answers, once all are there; raises as `Cluster.result`."""
        return self._cluster.result(pending)
