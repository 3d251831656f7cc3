"""Trainings on Amazon SageMaker: the container's entry point, and the launcher."""
