"""The process that becomes the embedded Triton: `python -m tidemill_core.triton.main`.

It configures each model with the versions that the database trusts, and then becomes tritonserver.
A candidate that was being tested when the machine went down is not among them.

While Triton is restarted because of its memory, a stand-in answers on another address of loopback.
Both then serve what is configured, so a candidate that is being tested stays.
"""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from tidemill_core.errors import TidemillError
from tidemill_core.model_repository import ModelRepository
from tidemill_core.private_files import keep_files_private
from tidemill_core.settings import Settings, settings_with_tasks
from tidemill_core.storage.storage import wait_for_storage
from tidemill_core.supervisor.lock import stack_runs
from tidemill_core.telemetry import configure_logging
from tidemill_core.triton.control_key import control_key
from tidemill_core.triton.embedded import LOOPBACK, STAND_IN, EmbeddedTriton, prepare
from tidemill_core.triton.process import exec_triton
from tidemill_core.triton.served import configure


def configure_all(settings: Settings) -> tuple[str, ...]:
    """Write the configuration of each task's models; return the names of those to load."""
    url, is_first = settings.effective_database_url, not stack_runs(settings.state_dir)
    storage = wait_for_storage(url, create=is_first)
    repository = ModelRepository.of(settings)
    names: list[str] = []
    for task in settings.tasks:
        trusted = storage.models.versions_to_serve(task)
        names += configure(repository, trusted)
    storage.database.close()
    return tuple(names)


def configured(repository: Path) -> tuple[str, ...]:
    """Return the names of the models that have a configuration."""
    return tuple(sorted(file.parent.name for file in repository.glob("*/config.pbtxt")))


def main() -> NoReturn:
    """Become tritonserver."""
    keep_files_private()
    configure_logging("triton")
    parser = argparse.ArgumentParser(description="Become the embedded Triton.")
    parser.add_argument(
        "--keep-configuration", action="store_true", help="serve what is configured"
    )
    parser.add_argument("--host", choices=[LOOPBACK, STAND_IN], default=LOOPBACK)
    given = parser.parse_args()
    try:
        settings = settings_with_tasks()
        repository = settings.model_repository
        repository.mkdir(parents=True, exist_ok=True)
        names = configured(repository) if given.keep_configuration else configure_all(settings)
        folder = "triton" if given.host == LOOPBACK else "triton-stand-in"
        triton = EmbeddedTriton(
            model_repository=repository,
            state_directory=settings.state_dir / folder,
            grpc_port=settings.triton_grpc_port,
            http_port=settings.triton_http_port,
            metrics_port=settings.triton_metrics_port,
            control_key=control_key(settings),
            load_models=names,
            host=given.host,
        )
        exec_triton(prepare(triton))
    except TidemillError as error:
        sys.exit(f"{error.reason}: {error.detail or error}")


if __name__ == "__main__":
    main()
