"""The seam of the networks: what a kind of model must offer.

A network is one file in `networks/`, whose constant `NETWORK` is the `Network`, and its name in
`tidemill_core.settings.training.NetworkName`.
"""

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from tokenizers import Tokenizer

from tidemill_core.errors import ConfigurationError
from tidemill_jobs.context import Progress
from tidemill_jobs.training.classifier import Classifier
from tidemill_jobs.training.encoded_rows import EncodedRows
from tidemill_jobs.training.fit import EpochListener

if TYPE_CHECKING:
    from optuna import Trial

Hyperparameters = Mapping[str, int | float]
"""The values that a search may vary, by name. A version's manifest keeps them."""

Values = TypeVar("Values")


@dataclass(frozen=True)
class Lesson:
    """What a network learns from.

    Attributes:
        tokenizer: as the network returned it.
        labels: the number of labels; 1 for a reward, which is learned from pairs.
        train: at least one row.
        held_out: for early stopping; may be empty.
    """

    tokenizer: Tokenizer
    labels: int
    train: EncodedRows
    held_out: EncodedRows


class Learner(Protocol):
    """The training of one lesson, as often as a search wants."""

    def __call__(
        self, hyperparameters: Hyperparameters, progress: Progress, on_epoch: EpochListener
    ) -> Classifier:
        """Return a classifier in evaluation mode; torch's seed is set before.

        Args:
            hyperparameters: a value for each of the network's `defaults`.
            progress: receives the fraction done; what it raises ends the training.
            on_epoch: receives each epoch's measures and its number, as `fit` reports them. What it
                raises ends the training.
        """


class Network(Protocol):
    """A kind of model. It has no state, and the same input gives the same result."""

    @property
    def defaults(self) -> Hyperparameters:
        """Every hyperparameter, with its value without a search."""

    def suggest(self, trial: "Trial") -> Hyperparameters:
        """Return a trial's values of the hyperparameters that a search varies."""

    def tokenizer(self, texts: Sequence[str]) -> Tokenizer:
        """Return the tokenizer; its id 0 is the padding, and no text gives that id.

        Args:
            texts: the training texts, at least one.
        """

    def prepare(self, lesson: Lesson, progress: Progress) -> Learner:
        """Do once what does not depend on hyperparameters, and return the learner."""


def load_network(name: str) -> Network:
    """Return a network by its name in the settings; its file is imported now.

    Raises:
        ConfigurationError: the network needs an extra that is not installed.
    """
    module = importlib.import_module(f"tidemill_jobs.training.networks.{name}")
    return cast("Network", module.NETWORK)


def checked(given: Hyperparameters, name: str, network: Network) -> Hyperparameters:
    """Return hyperparameters that were given for a network.

    Raises:
        ConfigurationError: the network has no such hyperparameter, or it must be a whole number, or
            is out of range.
    """
    for each, value in given.items():
        default = network.defaults.get(each)
        if default is None:
            known = ", ".join(sorted(network.defaults))
            raise ConfigurationError(
                f"the network {name} has no hyperparameter {each!r}; it has: {known}"
            )
        if isinstance(default, int) and not isinstance(value, int):
            raise ConfigurationError(f"the hyperparameter {each} must be a whole number: {value}")
        _check_range(each, value, default)
    return given


def _check_range(name: str, value: float, default: float) -> None:
    """Raise ConfigurationError for a value with which no network can learn.

    A count is at least 1, unless its default is 0, which turns something off. A dropout or a
    smoothing is a share below 1.
    """
    least = 1 if isinstance(default, int) and default else 0
    is_share = name.endswith(("dropout", "smoothing"))
    if not least <= value < (1 if is_share else math.inf):  # a NaN fails, too
        rule = f"at least {least}" + (" and below 1" if is_share else "")
        raise ConfigurationError(f"the hyperparameter {name} must be {rule}: {value}")


def chosen(kind: type[Values], hyperparameters: Hyperparameters) -> Values:
    """Return a dataclass whose fields have the values of the hyperparameters of their names."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # every kind is a dataclass
    return kind(**{name: hyperparameters[name] for name in names})
