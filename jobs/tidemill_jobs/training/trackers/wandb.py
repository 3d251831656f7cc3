"""Weights & Biases: runs with curves and files, sent to its server or kept in a folder."""

import os
from datetime import UTC, datetime
from pathlib import Path

from tidemill_jobs.training.tracking import TrackedRun
from tidemill_jobs.training.tracking_service import ServiceConfig

os.environ["WANDB_ERROR_REPORTING"] = "false"  # else it sends its errors to Sentry
os.environ.setdefault("WANDB_INIT_TIMEOUT", "20")

import wandb


class WandbService:
    """One project of Weights & Biases; without WANDB_API_KEY, runs stay in a folder."""

    def __init__(self, config: ServiceConfig) -> None:
        self._project, self._folder = config.location, config.folder

    def send(self, run: TrackedRun) -> str:
        """Send a run; one that was interrupted is continued, because its id is the job run's."""
        subject = run.subject
        config = {
            "task": subject.task,
            "format": subject.model_format,
            "dataset_version": subject.dataset_version,
            **subject.counts,
            **run.parameters,
        }
        sent = wandb.init(
            project=self._project,
            id=subject.run_id,
            name=f"{subject.task} {datetime.fromtimestamp(run.start / 1000, UTC):%F %T}",
            group=subject.task,
            config=config,
            resume="allow" if _has_key() else None,
            settings=_settings(self._folder),
        )
        _log(sent, run)
        sent.finish(exit_code=0 if run.status == "FINISHED" else 1)
        return str(sent.url) if _has_key() else str(Path(sent.dir).parent)

    def set_champion(self, task: str, model_version: int) -> None:
        """Do nothing: versions are registered in MLflow."""


def _has_key() -> bool:
    return bool(os.environ.get("WANDB_API_KEY"))


def _log(sent: wandb.Run, run: TrackedRun) -> None:
    for point in run.points:
        if point.epoch:
            time = {"_timestamp": point.milliseconds / 1000}
            sent.log({"epoch": point.epoch, **point.values, **time})
        else:
            sent.summary.update(dict(point.values))
    sent.summary.update(
        {"status": run.status, "model_version": run.model_version, "state": run.state}
    )
    for name, content in run.artifacts.items():
        path = Path(sent.dir, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        sent.save(path, base_path=sent.dir, policy="now")


def _settings(folder: Path) -> wandb.Settings:
    """Return settings that send what `TrackedRun` has, and nothing about machine or code."""
    return wandb.Settings(
        mode="online" if _has_key() else "offline",
        root_dir=str(folder),
        silent=True,
        host="tidemill",  # else the name of the machine
        console="off",
        disable_git=True,
        disable_code=True,
        disable_job_creation=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        x_graphql_retry_max=1,
        x_graphql_timeout_seconds=10,
        x_file_stream_retry_max=1,
        x_file_transfer_retry_max=1,
    )


SERVICE = WandbService
