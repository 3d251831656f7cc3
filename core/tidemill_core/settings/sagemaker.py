"""Where trainings on Amazon SageMaker run."""

from tidemill_core.settings.forms import OptionalHttpUrl
from tidemill_core.settings.section import Section
from tidemill_core.settings.task_kind import TaskKind
from tidemill_core.settings.training import TrainingSettings


class SagemakerSettings(Section):
    """Where trainings on Amazon SageMaker run; the first three are needed."""

    role: str = ""
    """ARN of the role that SageMaker takes; it reads and writes the bucket."""
    image: str = ""
    """Address of an image in ECR that has Tidemill with the extra `jobs`."""
    bucket: str = ""
    """S3 bucket for datasets and results, without `s3://`."""
    instance_type: str = "ml.m5.xlarge"
    """Kind of machine."""
    endpoint_url: OptionalHttpUrl = ""
    """URL of S3 and SageMaker, if they are not AWS's own."""

    @property
    def missing(self) -> str:
        """The settings that are needed and empty, with commas between them."""
        needed = {"role": self.role, "image": self.image, "bucket": self.bucket}
        return ", ".join(f"sagemaker.{name}" for name, value in needed.items() if not value)

    def obstacle(self, task: str, kind: TaskKind, training: TrainingSettings) -> str:
        """Return why a task cannot be trained on SageMaker; empty if it can.

        Args:
            task: the task's name.
            kind: its kind.
            training: how it is trained.
        """
        if self.missing:
            return f"training on SageMaker needs these settings: {self.missing}"
        if kind == "preference":
            return f"{task} learns from preferences: SageMaker trains classifiers"
        if training.int8:
            return (
                f"tasks.{task}.training.int8 needs a training on this machine: the gate int8 "
                "compares with the weights before the rounding, which stay on SageMaker"
            )
        if training.follow_audits:
            return (
                f"tasks.{task}.training.follow_audits needs a training on this machine: the audits "
                "stay here"
            )
        return ""
