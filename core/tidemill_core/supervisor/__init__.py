"""Starts the processes of one stack, restarts one that dies, and ends them in order."""

from tidemill_core.supervisor.child import ProcessSpec
from tidemill_core.supervisor.lock import StateDirectoryLock
from tidemill_core.supervisor.ports import ListeningPort, probe_ports
from tidemill_core.supervisor.restarts import Restarts
from tidemill_core.supervisor.stack import stack_ports, stack_processes
from tidemill_core.supervisor.supervisor import Ended, Supervisor

__all__ = [
    "Ended",
    "ListeningPort",
    "ProcessSpec",
    "Restarts",
    "StateDirectoryLock",
    "Supervisor",
    "probe_ports",
    "stack_ports",
    "stack_processes",
]
