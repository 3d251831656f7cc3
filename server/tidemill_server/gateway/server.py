"""The HTTP port."""

from collections.abc import Mapping
from dataclasses import replace

from tidemill_core.clock import system_clock
from tidemill_core.dataset_copies import DatasetCopies
from tidemill_core.prediction_id import load_keys
from tidemill_core.settings import Settings
from tidemill_server.console.app import add_console, templates
from tidemill_server.console.session import sessions_of
from tidemill_server.console.visit import Console
from tidemill_server.gateway.app import Gateway, gateway_app, operations_of
from tidemill_server.gateway.own_names import OwnNames
from tidemill_server.handlers.fetched_datasets import FetchedDatasets
from tidemill_server.rpc.methods import Method
from tidemill_server.rpc.pipeline import Pipeline
from tidemill_server.transports.embedded import (
    LIMITS,
    EmbeddedServer,
    EmbeddedTransport,
    Port,
)
from tidemill_server.transports.room import Room
from tidemill_server.transports.transport import (
    GRACE_SECONDS,
    MAX_METADATA_BYTES,
    MAX_STREAMS_A_CONNECTION,
)

_CONFIG = replace(
    LIMITS,
    # No call lasts longer: what is left then are bodies that do not arrive.
    timeout_graceful_shutdown=GRACE_SECONDS,
    limit_request_head_size=MAX_METADATA_BYTES,
    h2_max_header_list_size=MAX_METADATA_BYTES,
    max_concurrent_streams=MAX_STREAMS_A_CONNECTION,
)


class HttpServer(EmbeddedTransport):
    """The HTTP port on h2corn, whichever transport carries gRPC."""

    def __init__(
        self,
        settings: Settings,
        pipeline: Pipeline,
        methods: Mapping[str, Method],
        room: Room,
    ) -> None:
        own_names = OwnNames(settings.http_host, settings.http_allowed_hosts)
        tasks = list(settings.tasks)
        operations = operations_of(methods, tasks[0] if len(tasks) == 1 else "")
        app = gateway_app(
            Gateway(pipeline, own_names, room), operations, tasks[0] if tasks else "TASK"
        )
        keys = load_keys(settings.state_dir, settings.prediction_id_keys.get_secret_value())
        sessions = sessions_of(keys)
        datasets = FetchedDatasets(DatasetCopies.of(settings))
        console = Console(
            pipeline, methods, own_names, sessions, settings, datasets, templates(), system_clock
        )
        add_console(app, console)
        port = Port("http_port", settings.http_host, settings.http_port)
        super().__init__(EmbeddedServer(app, _CONFIG, settings.tls), port)
