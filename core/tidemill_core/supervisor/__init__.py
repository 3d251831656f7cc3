"""The supervisor: starts a stack's processes, restarts those that die, and stops them in order."""

from tidemill_core.supervisor.child import ProcessSpec
from tidemill_core.supervisor.kept import Ended
from tidemill_core.supervisor.lock import StateDirectoryLock
from tidemill_core.supervisor.ports import ListeningPort, probe_ports
from tidemill_core.supervisor.processes import ProcessState, ProcessStatus, read_processes
from tidemill_core.supervisor.restarts import Restarts
from tidemill_core.supervisor.rolling import (
    RESTART_SIGNAL,
    RestartReport,
    RestartStep,
    StepState,
    read_report,
)
from tidemill_core.supervisor.stack import (
    metrics_folder,
    stack_ports,
    stack_processes,
    triton_stand_in,
)
from tidemill_core.supervisor.stand_in import StandIn
from tidemill_core.supervisor.supervisor import Supervisor

__all__ = [
    "RESTART_SIGNAL",
    "Ended",
    "ListeningPort",
    "ProcessSpec",
    "ProcessState",
    "ProcessStatus",
    "RestartReport",
    "RestartStep",
    "Restarts",
    "StandIn",
    "StateDirectoryLock",
    "StepState",
    "Supervisor",
    "metrics_folder",
    "probe_ports",
    "read_processes",
    "read_report",
    "stack_ports",
    "stack_processes",
    "triton_stand_in",
]
