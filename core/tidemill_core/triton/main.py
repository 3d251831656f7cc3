"""The process that becomes the embedded Triton: `python -m tidemill_core.triton.main`.

It configures each model with the versions that the database trusts, and then becomes tritonserver.
A candidate that was being tested when the machine went down is not among them.
"""

import sys
from typing import NoReturn

from tidemill_core.errors import TidemillError
from tidemill_core.model_repository import ModelRepository
from tidemill_core.private_files import keep_files_private
from tidemill_core.settings import Settings, load_settings
from tidemill_core.storage.storage import open_storage
from tidemill_core.telemetry import configure_logging
from tidemill_core.triton.control_key import control_key
from tidemill_core.triton.embedded import EmbeddedTriton, prepare
from tidemill_core.triton.process import exec_triton
from tidemill_core.triton.served import configure


def configure_all(settings: Settings) -> tuple[str, ...]:
    """Write the configuration of each task's models; return the names of those to load."""
    storage = open_storage(settings.effective_database_url)
    repository = ModelRepository.of(settings)
    names: list[str] = []
    for task in settings.tasks:
        trusted = storage.models.versions_to_serve(task)
        names += configure(repository, trusted)
    storage.database.close()
    return tuple(names)


def main() -> NoReturn:
    """Become tritonserver."""
    keep_files_private()
    configure_logging("triton")
    try:
        settings = load_settings()
        settings.model_repository.mkdir(parents=True, exist_ok=True)
        triton = EmbeddedTriton(
            model_repository=settings.model_repository,
            state_directory=settings.state_dir / "triton",
            grpc_port=settings.triton_grpc_port,
            http_port=settings.triton_http_port,
            metrics_port=settings.triton_metrics_port,
            control_key=control_key(settings),
            load_models=configure_all(settings),
        )
        exec_triton(prepare(triton))
    except TidemillError as error:
        sys.exit(f"{error.reason}: {error.detail or error}")


if __name__ == "__main__":
    main()
