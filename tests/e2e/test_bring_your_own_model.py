"""docs/bring-your-own-model.md, followed from a Hugging Face folder to a champion."""

import json
import os
import random
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from tests.e2e.conftest import write_rows
from tests.plugins.stack import Stack, running, write_workspace
from tidemill_core.text import PADDING_TOKEN, UNKNOWN_TOKEN

PAGE = (Path(__file__).parents[2] / "docs" / "bring-your-own-model.md").read_text(encoding="utf-8")
WORDS = {"pay": "transfer money account", "card": "plastic pin chip", "loan": "borrow rate house"}
FILLERS = ("please", "can", "you", "help", "me", "with", "my", "the", "a", "now", "why", "is", "it")


def rows() -> list[tuple[str, str]]:
    """Return texts with three easy labels."""
    chosen = random.Random(0)
    made = {}
    while len(made) < 600:
        label = chosen.choice(list(WORDS))
        words = [chosen.choice(WORDS[label].split()), *chosen.sample(FILLERS, 6)]
        chosen.shuffle(words)
        made[" ".join(words)] = label
    return list(made.items())


def blocks(language: str) -> list[str]:
    """Return the guide's blocks of code."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def shell(stack: Stack, commands: str, **variables: str) -> str:
    """Run commands in the workspace as a user does, and return their output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-exc", commands],
        cwd=stack.workspace,
        env={**stack.env, "PATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_python(stack: Stack, block: str) -> None:
    """Run a block in the workspace, in this process, which has imported transformers already."""
    with chdir(stack.workspace), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(block, {})  # noqa: S102 -- a block of our own guide


def fine_tune(rows_file: Path, folder: Path) -> None:
    """Write a Hugging Face folder with a small classifier of the rows of a JSON Lines file."""
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    examples = [json.loads(line) for line in rows_file.read_text().splitlines()]
    labels = sorted({example["label"] for example in examples})
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN_TOKEN))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [PADDING_TOKEN, UNKNOWN_TOKEN, "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([example["text"] for example in examples], trainer)
    framed = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=framed
    )
    config = DistilBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        dim=32,
        n_layers=1,
        n_heads=2,
        hidden_dim=64,
        max_position_embeddings=64,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    tokenizer.enable_padding()
    ids = torch.tensor([e.ids for e in tokenizer.encode_batch([x["text"] for x in examples])])
    targets = torch.tensor([labels.index(example["label"]) for example in examples])
    torch.manual_seed(0)
    torch.set_num_threads(1)  # more threads wait for each other on a busy machine
    model = DistilBertForSequenceClassification(config)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    for _ in range(14):
        for batch in torch.randperm(len(ids)).split(32):
            optimizer.zero_grad()
            mask = (ids[batch] != 0).long()
            model(input_ids=ids[batch], attention_mask=mask, labels=targets[batch]).loss.backward()
            optimizer.step()
    tokenizer.no_padding()  # as save_pretrained leaves it
    model.eval().save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Run a stack with one task and its first champion."""
    source = write_rows(tmp_path / "rows.csv", rows())
    with running(Stack(write_workspace(tmp_path, {"support": source})), 300.0) as whole:
        yield whole


def test_the_guide(stack: Stack) -> None:
    """Each block runs; the imported model becomes champion, answers, and is rolled back."""
    export_rows, import_model, look = blocks("sh")
    to_onnx, to_torchscript = blocks("python")
    [dataset] = json.loads(shell(stack, "tidemill datasets list --json"))
    shell(stack, export_rows, DATASET=dataset["dataset_version"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transformers
        fine_tune(stack.workspace / "train.jsonl", stack.workspace / "my-model")
    run_python(stack, to_onnx)
    imported = json.loads(shell(stack, f"{import_model.strip()} --json"))
    assert imported["result"]["state"] == "CHAMPION", imported
    assert imported["import_model"]["format"] == "onnx"
    shell(stack, look)
    states = {
        version["model_version"]: version["state"]
        for version in json.loads(shell(stack, "tidemill models list --json"))
    }
    assert states == {1: "CHAMPION", 2: "ROLLED_BACK"}
    run_python(stack, to_torchscript)
    other = import_model.replace("model.onnx", "model.pt")
    refused = stack.run(*other.split()[1:], check=False)
    assert refused.returncode == 4
    assert "task 'support' has the format 'onnx'" in " ".join(refused.stderr.split())
    labels = stack.workspace / "labels.json"
    labels.write_text('["loan", "pay", "card"]')
    swapped = import_model.replace("my-model/config.json", "labels.json")
    rejected = stack.run(*swapped.split()[1:], check=False)
    assert rejected.returncode == 4
    assert "the version is REJECTED" in rejected.stderr
