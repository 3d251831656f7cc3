"""Where trainings on Amazon SageMaker run."""

from pydantic import BaseModel, ConfigDict


class SagemakerSettings(BaseModel):
    """Where trainings on Amazon SageMaker run; the first three are needed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str = ""
    """ARN of the role that SageMaker takes; it reads and writes the bucket."""
    image: str = ""
    """Address of an image in ECR that has Tidemill with the extra `jobs`."""
    bucket: str = ""
    """S3 bucket for datasets and results, without `s3://`."""
    instance_type: str = "ml.m5.xlarge"
    """Kind of machine."""
    endpoint_url: str = ""
    """URL of S3 and SageMaker, if they are not AWS's own."""

    @property
    def missing(self) -> list[str]:
        """The settings that are needed and empty."""
        needed = {"role": self.role, "image": self.image, "bucket": self.bucket}
        return [name for name, value in needed.items() if not value]
