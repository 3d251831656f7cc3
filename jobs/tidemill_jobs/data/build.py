"""The job `build_dataset`: sources and feedback in, one immutable dataset version out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from tidemill_core.domain.dataset import DatasetVersion, Outcome, outcome_of
from tidemill_core.domain.example import LabelSource
from tidemill_core.errors import DataError
from tidemill_core.storage.database import Page
from tidemill_core.text_hash import load_text_key
from tidemill_jobs.context import JobContext, Progress, Result
from tidemill_jobs.data.clean import Recipe
from tidemill_jobs.data.dataset import EXAMPLE_COLUMNS, QUARANTINE_COLUMNS, Content, publish
from tidemill_jobs.data.decide import Decided, decide
from tidemill_jobs.data.intake import Intake, Segment
from tidemill_jobs.data.platform import FEEDBACK, platform_rows
from tidemill_jobs.data.prepare import Workshop
from tidemill_jobs.data.sources import open_source
from tidemill_jobs.data.stock import Stock
from tidemill_jobs.feedback.examples import FeedbackExamples, feedback_examples
