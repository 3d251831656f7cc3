"""Arize's SDK; importing this module needs the extra `arize`."""

import logging
import warnings

import pandas as pd
import requests
from arize.pandas.logger import Client, Schema
from arize.pandas.validation.errors import ValidationFailure
from arize.utils.types import (
    EmbeddingColumnNames,
    Environments,
    ModelTypes,
)

from tidemill_core.errors import Unavailable
from tidemill_core.settings import ArizeSettings
from tidemill_jobs.monitoring.tools.arize_rows import Rows
from tidemill_jobs.monitoring.unanswered import why_unanswered

TIMEOUT_SECONDS = 60.0
_OK = 200
_TAGS = ("abstained", "latency_ms", "text")


class ArizeUnavailable(Unavailable):
    """Arize did not take rows; the next run sends them."""

    reason = "ARIZE_UNAVAILABLE"

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(
            f"Arize at {url} took no rows: {detail}; check arize.url, the key and the network. "
            "The next run sends them again"
        )


class ArizeClient:
    """One task as a model in an Arize space."""

    def __init__(self, settings: ArizeSettings, task: str) -> None:
        logging.getLogger("arize").setLevel(logging.CRITICAL)  # its messages may quote rows
        key = settings.api_key.get_secret_value()
        self._client = Client(api_key=key, space_id=settings.space_id, uri=settings.url)
        self._task, self._url = task, settings.url

    def send(self, rows: Rows, version: str) -> None:
        """Send predictions of a version, or labels of predictions of any version.

        Raises:
            ArizeUnavailable: Arize did not answer, or refused the rows.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # its use of pandas
                answer = self._client.log(
                    pd.DataFrame(dict(rows)),
                    _schema(rows),
                    Environments.PRODUCTION,
                    model_id=self._task,
                    model_type=ModelTypes.SCORE_CATEGORICAL,
                    model_version=version or None,
                    timeout=TIMEOUT_SECONDS,
                )
        except (requests.RequestException, ValidationFailure) as error:
            raise ArizeUnavailable(self._url, why_unanswered(error)) from None
        if answer.status_code != _OK:
            raise ArizeUnavailable(self._url, f"it answered {answer.status_code}")


def _schema(rows: Rows) -> Schema:
    if "actual_label" in rows:
        return Schema(
            prediction_id_column_name="prediction_id", actual_label_column_name="actual_label"
        )
    vectors = {"representation": EmbeddingColumnNames("embedding")} if "embedding" in rows else None
    return Schema(
        prediction_id_column_name="prediction_id",
        timestamp_column_name="time",
        prediction_label_column_name="label",
        prediction_score_column_name="confidence",
        tag_column_names=[tag for tag in _TAGS if tag in rows],
        embedding_feature_column_names=vectors,
    )
