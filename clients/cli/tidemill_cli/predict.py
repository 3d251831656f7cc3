"""`tidemill predict`."""

from dataclasses import asdict
from itertools import islice
from typing import Annotated, Any

import typer

from tidemill_cli.connection import Address, connected, explanation
from tidemill_cli.failure import CommandFailed
from tidemill_cli.messages import error_to_json
from tidemill_cli.output import AsJson, percent, print_fields, print_json, print_table, shortened
from tidemill_cli.standard_input import stdin_lines
from tidemill_cli.tasks import Task
from tidemill_client import Prediction, TidemillClient, TidemillError

app = typer.Typer(add_completion=False)
_EXAMPLE = (
    'Example: tidemill predict support "My card has not arrived" --top-k 3 · '
    "cat texts.txt | tidemill predict support - --json"
)
_BATCH = 1024

Result = Prediction | TidemillError


@app.command(epilog=_EXAMPLE)
def predict(
    task: Task,
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="The texts; - reads lines from stdin.")
    ],
    top_k: Annotated[int, typer.Option(min=1, help="How many labels to show, best first.")] = 1,
    model_version: Annotated[
        int, typer.Option(min=0, help="The version to ask; 0 lets the router choose.")
    ] = 0,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Predict which label a text has."""
    with connected(address) as client:
        if len(texts) == 1 and texts != ["-"]:
            prediction = client.predict(task, texts[0], top_k=top_k, model_version=model_version)
            print_json(asdict(prediction)) if as_json else _print_one(prediction)
            return
        asked = list(stdin_lines("surrogateescape")) if texts == ["-"] else texts
        results = _predict_all(client, task, asked, top_k, model_version)
    if as_json:
        print_json([_to_json(result) for result in results])
    else:
        _print_many(asked, results)
    failures = sum(isinstance(result, TidemillError) for result in results)
    if failures:
        raise CommandFailed(f"{failures} of {len(asked)} texts were not answered")


def _predict_all(
    client: TidemillClient, task: str, texts: list[str], top_k: int, model_version: int
) -> list[Result]:
    remaining, results = iter(texts), list[Result]()
    while batch := list(islice(remaining, _BATCH)):
        results += client.predict_batch(task, batch, top_k=top_k, model_version=model_version)
    return results


def _to_json(result: Result) -> Any:
    if isinstance(result, TidemillError):
        return {"error": error_to_json(result)}
    return asdict(result)


def _print_one(prediction: Prediction) -> None:
    note = "a person should decide: the confidence is low" if prediction.abstained else ""
    scores = [f"{percent(score.score)}  {score.label}" for score in prediction.scores]
    print_fields(
        {
            "label": prediction.label,
            "confidence": percent(prediction.confidence),
            "note": note,
            "scores": scores if len(scores) > 1 else [],
            "model version": prediction.model_version,
            "prediction id": prediction.prediction_id,
        }
    )


def _print_many(texts: list[str], results: list[Result]) -> None:
    columns = ("text", "label", "confidence", "version", "prediction id")
    print_table(columns, map(_row, texts, results), empty="no texts were given")


def _row(text: str, result: Result) -> tuple[Any, ...]:
    shown = shortened(text)
    if isinstance(result, TidemillError):
        return shown, f"not answered: {explanation(result)}", "", "", ""
    confidence = percent(result.confidence) + (" abstained" if result.abstained else "")
    return shown, result.label, confidence, result.model_version, result.prediction_id
