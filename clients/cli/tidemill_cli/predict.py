"""`tidemill predict`."""

from itertools import islice
from typing import Annotated, Any

import typer

from tidemill_cli.connection import connected, explanation
from tidemill_cli.failure import CommandFailed, WrongUsage
from tidemill_cli.messages import error_to_json
from tidemill_cli.options import LARGEST, Address, AsJson, TaskAndTexts
from tidemill_cli.output import percent, print_fields, print_json, print_table, shortened
from tidemill_cli.standard_input import given_texts
from tidemill_cli.tasks import task_and_texts, the_task
from tidemill_client import Prediction, TidemillClient, TidemillError
from tidemill_core.counted import counted

app = typer.Typer(add_completion=False)
_EXAMPLE = (
    'Example: tidemill predict support "My card has not arrived" --top-k 3 · '
    "cat texts.txt | tidemill predict support - --json"
)
_BATCH = 1024
_ABSTAINED = "abstained: below the task's confidence limit, so a person should decide"

Result = Prediction | TidemillError


@app.command(epilog=_EXAMPLE)
def predict(
    arguments: TaskAndTexts,
    top_k: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="How many labels to show, best first.")
    ] = 1,
    model_version: Annotated[
        int,
        typer.Option(
            min=0, max=LARGEST, help="The version that answers; 0 lets the router choose."
        ),
    ] = 0,
    response: Annotated[
        str, typer.Option(help="The answer to rate; the text is its prompt.", show_default=False)
    ] = "",
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Predict the label of each text, or rate an answer to a prompt."""
    task, texts = task_and_texts(arguments)
    with connected(address) as client:
        task = the_task(client, task, address)
        if texts == [task]:
            raise WrongUsage(f"name a text after the task: tidemill predict {task} TEXT")
        if len(texts) == 1 and texts != ["-"]:
            prediction = client.predict(
                task, texts[0], top_k=top_k, model_version=model_version, response=response
            )
            print_json(prediction) if as_json else _print_one(prediction)
            return
        if response:
            raise WrongUsage("with --response, give one prompt")
        asked = given_texts(texts, errors="surrogateescape")
        results = _predict_all(client, task, asked, top_k, model_version)
    if as_json:
        print_json([_to_json(result) for result in results])
    else:
        columns = ("text", "label", "confidence", "version", "prediction id")
        print_table(columns, map(_row, asked, results), empty="no texts were given")
    failures = sum(isinstance(result, TidemillError) for result in results)
    if failures:
        raise CommandFailed(f"not answered: {failures} of {counted(len(asked), 'text')}")


def _predict_all(
    client: TidemillClient, task: str, texts: list[str], top_k: int, model_version: int
) -> list[Result]:
    remaining, results = iter(texts), list[Result]()
    while batch := list(islice(remaining, _BATCH)):
        results += client.predict_batch(task, batch, top_k=top_k, model_version=model_version)
    return results


def _to_json(result: Result) -> Any:
    return {"error": error_to_json(result)} if isinstance(result, TidemillError) else result


def _print_one(prediction: Prediction) -> None:
    if prediction.score is not None:
        print_fields(
            {
                "score": f"{prediction.score:.3f}",
                "model version": prediction.model_version,
                "prediction id": prediction.prediction_id,
            }
        )
        return
    note = _ABSTAINED if prediction.abstained else ""
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


def _row(text: str, result: Result) -> tuple[Any, ...]:
    shown = shortened(text)
    if isinstance(result, TidemillError):
        return shown, f"not answered: {explanation(result)}", "", "", ""
    confidence = percent(result.confidence) + (" abstained" if result.abstained else "")
    return shown, result.label, confidence, result.model_version, result.prediction_id
