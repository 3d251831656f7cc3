"""Faults that must be caught before a version answers, with a real Triton."""

import random
from dataclasses import replace

import numpy as np
import onnx
import pytest

from bench.training.support import labeled, read, side
from tests.integration.jobs.release.conftest import (
    Loop,
    Trained,
    failed,
    learn,
    learn_from,
    right,
    rows_of,
)
from tidemill_core.domain.split import Split, content_hash, split_of
from tidemill_core.triton.tensors import OUTPUT_NAME
from tidemill_jobs.training.labeled_texts import LabeledTexts, TrainingData

A_LOAN = next(
    text
    for text, label in rows_of(210)
    if label == "loan" and split_of(content_hash(text)) is Split.TRAIN
)


def test_what_is_sound_passes(loop: Loop, trained: Trained) -> None:
    """The same model, published twice, passes every gate as the first and as the second."""
    assert failed(loop.judge(loop.candidate(trained), trained)) == {}
    loop.champion(trained)
    assert failed(loop.judge(loop.candidate(trained), trained)) == {}


def test_labels_in_the_wrong_order(loop: Loop, trained: Trained) -> None:
    """A manifest whose labels are in another order than the model's output fails."""
    loop.champion(trained)
    model = replace(trained.model, labels=tuple(reversed(trained.model.labels)))
    version = loop.candidate(replace(trained, model=model), trained.exported)
    reasons = failed(loop.judge(version, trained))
    assert {"answers", "champion", "classes"} <= reasons.keys()


def test_labels_in_the_wrong_order_from_the_start(loop: Loop, trained: Trained) -> None:
    """Without a champion, and where the trainer itself has the wrong order, accuracy fails."""
    rows = held_out(600)
    model = replace(trained.model, labels=tuple(reversed(trained.model.labels)))
    wrong = replace(trained, model=model, test=rows)
    version = loop.candidate(wrong, trained.exported)
    assert "accuracy" in failed(loop.judge(version, wrong))


def test_a_stale_tokenizer(loop: Loop, trained: Trained) -> None:
    """The tokenizer of another training gives other ids, so the answers differ."""
    loop.champion(trained)
    stale = learn(right, rows=60)
    model = replace(trained.model, tokenizer=stale.model.tokenizer)
    version = loop.candidate(replace(trained, model=model), trained.exported)
    reasons = failed(loop.judge(version, trained))
    assert "answered differently through Triton" in reasons["answers"]


def test_a_truncated_file(loop: Loop, trained: Trained) -> None:
    """Half a file does not load."""
    loop.champion(trained)
    version = loop.candidate(trained)
    path = loop.model_file(version.version)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert failed(loop.judge(version, trained))["loads"].startswith("MODEL_LOAD_FAILED: ")


def test_an_export_that_differs(loop: Loop, trained: Trained) -> None:
    """Weights that an export changes a little fail, though the accuracy is the same."""
    loop.champion(trained)
    reasons = failed(loop.judge(loop.candidate(trained, scaled(trained.exported, 1.05)), trained))
    assert {"export", "answers"} <= reasons.keys()
    assert "champion" not in reasons


@pytest.fixture(scope="module")
def collapsed() -> Trained:
    """A model that never answers `loan`, judged on more rows."""
    return replace(learn(without_loans), test=held_out(1500))


def test_a_collapsed_class(loop: Loop, trained: Trained, collapsed: Trained) -> None:
    """A class that is never answered any more fails, and is named."""
    loop.champion(trained)
    reasons = failed(loop.judge(loop.candidate(collapsed), collapsed))
    assert "loan" in reasons["classes"]


def test_a_collapsed_class_without_a_champion(loop: Loop, collapsed: Trained) -> None:
    """A first model that never answers a class with 30 hold-out rows fails."""
    reasons = failed(loop.judge(loop.candidate(collapsed), collapsed))
    assert reasons["classes"] == "no row is right of 1 class: loan"


def test_a_slow_model(loop: Loop, trained: Trained) -> None:
    """A model that takes three times as long as the champion fails, though it is as accurate."""
    loop.champion(trained)
    reasons = failed(loop.judge(loop.candidate(trained, slowed(trained.exported)), trained))
    assert "times the champion's time" in reasons["speed"]
    assert "answers" not in reasons


def test_a_model_beyond_the_latency_objective(loop: Loop, trained: Trained) -> None:
    """The objective binds without a champion, too."""
    settings = loop.context.settings
    strict = settings.monitoring.model_copy(update={"max_p99_latency_ms": 0.01})
    loop.context = replace(
        loop.context, settings=settings.model_copy(update={"monitoring": strict})
    )
    assert "latency" in failed(loop.judge(loop.candidate(trained), trained))


def test_hold_out_rows_in_the_training_rows(loop: Loop, trained: Trained) -> None:
    """Test texts that were trained on fail, also with other spaces, letters and a changed word."""
    long = [
        f"{text} and then some more words that make it long enough to compare, number {n}"
        for n, text in enumerate(trained.test.texts)
    ]
    rows = replace(trained.test, texts=long)
    copies = [text.upper().replace(" ", "  ") for text in long[:3]]
    near = [text.replace("some more", "some") for text in long[3:6]]
    for leaked in (copies, near):
        train = LabeledTexts([*leaked, "something else"], [*rows.labels[:3], "pay"])
        results = loop.judge(loop.candidate(trained), replace(trained, test=rows), train)
        assert failed(results)["leakage"].endswith(" hold-out rows: 3")
    results = loop.judge(
        loop.candidate(trained), trained, LabeledTexts(["something else"], ["pay"])
    )
    assert "leakage" not in failed(results)


def test_weights_that_are_not_numbers(loop: Loop) -> None:
    """NaN in a weight that no hold-out text uses fails as well."""
    broken = learn(right)
    parameter = next(p for p in broken.model.classifier.parameters() if p.dim() == 2)
    parameter.data[-1, 0] = float("nan")
    judged = failed(loop.judge(loop.candidate(broken), broken))
    assert "1 weight is not a number, in" in judged["weights"]


def test_a_champion_that_is_retrained_on_flipped_labels(loop: Loop) -> None:
    """A tenth of the labels wrong costs accuracy on every kind of text, and it is no chance."""
    rows, test = read("train.csv"), read("test.csv")
    draw = random.Random(5)
    draw.shuffle(rows)
    rows = rows[:2000]
    labels = sorted({label for _, label in rows})
    flipped = [
        (text, draw.choice(labels) if draw.random() < 0.1 else label) for text, label in rows
    ]
    parts = [(side(each, Split.TRAIN), side(each, Split.VALIDATION)) for each in (rows, flipped)]
    champion, retrained = (
        learn_from(TrainingData(labeled(learned), labeled(held_out), labeled(test)))
        for learned, held_out in parts
    )
    loop.champion(champion)
    reasons = failed(loop.judge(loop.candidate(retrained), retrained))
    assert "against the champion's" in reasons["champion"]
    assert "loads" not in reasons


def without_loans(text: str, label: str) -> str:
    """Return a wrong label for all loans but one, which a model of the others does not learn."""
    return "card" if label == "loan" and text != A_LOAN else label


def scaled(exported: bytes, factor: float) -> bytes:
    """Return an export whose logits are multiplied by a factor."""
    model = onnx.load_model_from_string(exported)
    graph = model.graph
    (softmax,) = [node for node in graph.node if node.op_type == "Softmax"]
    graph.initializer.append(onnx.numpy_helper.from_array(np.float32(factor), "factor"))
    place = list(graph.node).index(softmax)
    graph.node.insert(place, onnx.helper.make_node("Mul", [softmax.input[0], "factor"], ["scaled"]))
    softmax.input[0] = "scaled"
    return bytes(model.SerializeToString())


def slowed(exported: bytes) -> bytes:
    """Return an export that multiplies matrices before it gives the same answers."""
    model = onnx.load_model_from_string(exported)
    graph, node = model.graph, onnx.helper.make_node
    (last,) = [each for each in graph.node if OUTPUT_NAME in each.output]
    last.output[0] = "answers"
    matrix = np.full((800, 800), 1e-3, np.float32)
    graph.initializer.append(onnx.numpy_helper.from_array(matrix, "matrix"))
    graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0), "nothing"))
    graph.node.extend(
        [
            node("Cast", ["input_ids"], ["ids"], to=onnx.TensorProto.FLOAT),
            node("ReduceMax", ["ids"], ["largest"], keepdims=0),
            node("Mul", ["matrix", "largest"], ["left"]),
            node("MatMul", ["left", "matrix"], ["product"]),
            node("ReduceMax", ["product"], ["work"], keepdims=0),
            node("Mul", ["work", "nothing"], ["zero"]),
            node("Add", ["answers", "zero"], [OUTPUT_NAME]),
        ]
    )
    return bytes(model.SerializeToString())


def held_out(rows: int) -> LabeledTexts:
    """Return the test rows of more rows than the models learned."""
    found = [row for row in rows_of(rows) if split_of(content_hash(row[0])) is Split.TEST]
    return LabeledTexts([text for text, _ in found], [label for _, label in found])
