"""The training loop, on the CPU."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from tidemill_core.text import PADDING_ID
from tidemill_jobs.context import Progress
from tidemill_jobs.training.classifier import Classifier
from tidemill_jobs.training.encoded_rows import EncodedRows

EpochListener = Callable[[Mapping[str, float], int], None]
"""Takes the measures of an epoch, and its number from 1."""
_WARM_UP = 0.1
_ROWS_A_PASS = 512


@dataclass(frozen=True)
class FitConfig:
    """The settings of the training loop.

    Attributes:
        steps: gradient steps to aim at; they set the number of epochs.
        least_epochs: the fewest epochs, however many rows.
        most_epochs: the most epochs, however few rows.
        batch_size: rows per step.
        table_rate: the peak learning rate of the sparse tables (plain SGD).
        rate: the peak learning rate of the dense layers (AdamW).
        weight_decay: of the dense layers.
        label_smoothing: the share of the target spread over all labels.
        patience: epochs without a lower validation loss before training stops.
        traffic_repeats: how often an epoch shows the rows of traffic. They are what the model is
            asked today; those of the sources may be years old.
        similar_lengths: batches among which rows of similar length are brought together, for
            networks whose time grows with the longest row of a batch; 0 leaves batches random.
    """

    steps: int = 2800
    least_epochs: int = 6
    most_epochs: int = 40
    batch_size: int = 64
    table_rate: float = 10.0
    rate: float = 0.003
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    patience: int = 6
    traffic_repeats: int = 1
    similar_lengths: int = 0

    def epochs(self, rows: int) -> int:
        """Return the number of epochs for `rows` rows."""
        wanted = round(self.steps / math.ceil(rows / self.batch_size))
        return min(max(wanted, self.least_epochs), self.most_epochs)


@contextmanager
def reproducible(seed: int, threads: int) -> Iterator[None]:
    """Seed torch and set its threads within the block."""
    threads_before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads_before)


def fit(
    network: Classifier,
    train: EncodedRows,
    validation: EncodedRows,
    config: FitConfig,
    progress: Progress,
    on_epoch: EpochListener,
) -> None:
    """Train a network in place, and leave it as it was after its best epoch.

    The best epoch has the lowest validation loss. Without validation rows every epoch runs, and
    the last one counts. The tables are trained with plain sparse SGD: Adam would move a row that
    was seen once as far as a common one, at a cost of five points of accuracy and most of the time.

    Args:
        network: the network to train.
        train: at least one row.
        validation: may be empty.
        config: the settings.
        progress: called after each epoch.
        on_epoch: called after each epoch with `train_loss` and, if there are validation rows,
            `validation_loss` and `validation_accuracy`.
    """
    shown = _shown(train.of_traffic, config.traffic_repeats)
    epochs = config.epochs(len(shown))
    stepper = _Stepper(network, config, epochs * math.ceil(len(shown) / config.batch_size))
    best_loss, best_epoch, best_state = math.inf, 0, deepcopy(network.state_dict())
    for epoch in range(1, epochs + 1):
        measures = {"train_loss": _run_epoch(train, shown, stepper, config)}
        if len(validation):
            measures |= _validate(network, validation, config)
        on_epoch(measures, epoch)
        progress(epoch / epochs, f"epoch {epoch} of {epochs}")
        loss = measures.get("validation_loss", -math.inf)
        if loss < best_loss or not len(validation):
            best_loss, best_epoch, best_state = loss, epoch, deepcopy(network.state_dict())
        elif epoch - best_epoch >= config.patience:
            break
    network.load_state_dict(best_state)
    network.eval()


class _Stepper:
    """Gradient steps along a cosine schedule with a warm-up."""

    def __init__(self, network: Classifier, config: FitConfig, steps: int) -> None:
        tables = list(network.tables())
        known = {id(table) for table in tables}
        dense = [weight for weight in network.parameters() if id(weight) not in known]
        self._network = network
        self._config = config
        self._steps = steps
        self._done = 0
        self._optimizers: list[tuple[torch.optim.Optimizer, float]] = []
        if tables:
            self._optimizers.append((torch.optim.SGD(tables), config.table_rate))
        adam = torch.optim.AdamW(dense, weight_decay=config.weight_decay)
        self._optimizers.append((adam, config.rate))

    def step(self, rows: EncodedRows) -> float:
        """Learn from one batch and return its loss."""
        self._set_rates()
        self._network.train()
        loss = _loss(logits_of(self._network, rows.input_ids), rows, self._config.label_smoothing)
        for optimizer, _ in self._optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer, _ in self._optimizers:
            optimizer.step()
        return float(loss.detach())

    def _set_rates(self) -> None:
        done = self._done / self._steps
        scale = min(1.0, (self._done + 1) / (self._steps * _WARM_UP))
        scale *= 0.5 * (1 + math.cos(math.pi * done))
        for optimizer, rate in self._optimizers:
            optimizer.param_groups[0]["lr"] = rate * scale
        self._done += 1


def _shown(of_traffic: Tensor, traffic_repeats: int) -> Tensor:
    """Return the numbers of the rows that an epoch shows, those of traffic repeatedly."""
    once = torch.arange(len(of_traffic))
    return torch.cat([once, once[of_traffic].repeat(traffic_repeats - 1)])


def _run_epoch(rows: EncodedRows, shown: Tensor, stepper: _Stepper, config: FitConfig) -> float:
    """Train on the shown rows in random order, and return the mean loss."""
    lengths = _lengths(rows.input_ids).clamp(min=1)
    total = 0.0
    for chosen in _batches(shown, lengths, config):
        width = int(lengths[chosen].max())  # without the padding that no row of the batch needs
        batch = rows.only(chosen)
        batch = replace(batch, input_ids=batch.input_ids[:, :width])
        total += stepper.step(batch) * len(chosen)
    return total / len(shown)


def _batches(shown: Tensor, lengths: Tensor, config: FitConfig) -> Sequence[Tensor]:
    """Return the row numbers of each batch, in random order."""
    order = shown[torch.randperm(len(shown))]
    if not config.similar_lengths:
        return torch.split(order, config.batch_size)
    windows = torch.split(order, config.similar_lengths * config.batch_size)
    sorted_ = torch.cat([window[lengths[window].argsort()] for window in windows])
    batches = torch.split(sorted_, config.batch_size)
    return [batches[number] for number in torch.randperm(len(batches)).tolist()]


def _validate(network: Classifier, rows: EncodedRows, config: FitConfig) -> dict[str, float]:
    logits = answers_of(network, rows.input_ids)
    return {
        "validation_loss": float(_loss(logits, rows, config.label_smoothing)),
        "validation_accuracy": float((logits.argmax(dim=1) == rows.targets).float().mean()),
    }


def singles(input_ids: Tensor) -> Tensor:
    """Return the texts of rows: [texts, length]. A pair has two, one after the other."""
    return input_ids.movedim(1, -1).flatten(0, -2)


def logits_of(module: nn.Module, input_ids: Tensor) -> Tensor:
    """Return a module's answers to rows: [n, labels], or for n pairs [n, 2], the two rewards."""
    answers: Tensor = module(singles(input_ids))
    return answers.reshape(len(input_ids), answers.shape[1] * math.prod(input_ids.shape[2:]))


def _lengths(input_ids: Tensor) -> Tensor:
    """Return the number of tokens of each row; of a pair, those of the longer text."""
    return (input_ids != PADDING_ID).sum(dim=1, keepdim=True).flatten(1).amax(dim=1)


def answers_of(module: nn.Module, input_ids: Tensor) -> Tensor:
    """Return a module's answers to any number of rows, as `logits_of`.

    Rows of similar length go together: some modules leave out padding that a whole pass has.
    """
    module.eval()
    order = _lengths(input_ids).argsort()
    with torch.no_grad():
        parts = [logits_of(module, input_ids[some]) for some in torch.split(order, _ROWS_A_PASS)]
    answers = torch.cat(parts)
    return torch.empty_like(answers).index_copy_(0, order, answers)


def _loss(logits: Tensor, rows: EncodedRows, label_smoothing: float) -> Tensor:
    """Return the mean cross-entropy, in which labels that may be wrong count less.

    A row of weight w has the target w for its label, but never less than chance, and the rest
    spread over the other labels. The row counts w squared. docs/decisions/weak-labels.md compares
    this with other losses.
    """
    losses = functional.cross_entropy(
        logits, rows.targets, reduction="none", label_smoothing=label_smoothing
    )
    if bool((rows.weights < 1).any()):
        labels = logits.shape[1]
        doubt = ((1 - rows.weights) * (labels / (labels - 1))).clamp(max=1)
        uniform = -functional.log_softmax(logits, dim=1).mean(dim=1)
        losses = torch.lerp(losses, uniform, doubt)
    counts = rows.weights.square()
    return (losses * counts).sum() / counts.sum().clamp(min=1e-6)
