"""The rules of each service, one class per service, independent of any transport.

A handler takes and returns domain values and raises `tidemill_core.errors`. A transport converts
the request, calls a handler's method, and converts the result.
"""

from dataclasses import dataclass

from tidemill_server.handlers.access import AccessHandler
from tidemill_server.handlers.dataset import DatasetHandler
from tidemill_server.handlers.feedback import FeedbackHandler
from tidemill_server.handlers.held_feedback import HeldFeedbackHandler
from tidemill_server.handlers.job import JobHandler
from tidemill_server.handlers.labeling import LabelingHandler
from tidemill_server.handlers.model import ModelHandler
from tidemill_server.handlers.model_import import ModelImporter
from tidemill_server.handlers.monitoring import MonitoringHandler
from tidemill_server.handlers.prediction import PredictionHandler
from tidemill_server.handlers.preference import PreferenceHandler
from tidemill_server.handlers.rollout import RolloutHandler


@dataclass(frozen=True)
class Handlers:
    """The handlers of the services."""

    prediction: PredictionHandler
    feedback: FeedbackHandler
    held_feedback: HeldFeedbackHandler
    preference: PreferenceHandler
    labeling: LabelingHandler
    dataset: DatasetHandler
    model: ModelHandler
    model_importer: ModelImporter
    rollout: RolloutHandler
    monitoring: MonitoringHandler
    job: JobHandler
    access: AccessHandler
