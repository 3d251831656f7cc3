"""`tidemill models pause` and `resume`."""

from tidemill.v1 import model_service_pb2 as pb
from tidemill_cli.connection import connected, current_user
from tidemill_cli.listing import CALL_SECONDS
from tidemill_cli.options import Address, AsJson, Comment, LastTask
from tidemill_cli.output import print_json, say
from tidemill_cli.tasks import the_task

PAUSE_EXAMPLE = 'Example: tidemill models pause support --comment "labels are being checked"'
RESUME_EXAMPLE = "Example: tidemill models resume support"


def pause(
    task: LastTask = "", comment: Comment = "", address: Address = "", as_json: AsJson = False
) -> None:
    """Stop a task's retrainings, and promotions by jobs, until `resume`."""
    with connected(address) as client:
        named = the_task(client, task, address)
        request = pb.PauseReleasesRequest(task=named, actor=current_user(), comment=comment)
        client.models.PauseReleases(request, timeout=CALL_SECONDS)
    if as_json:
        print_json({"task": named, "paused": True})
    else:
        say(f"{named} is not retrained until `tidemill models resume {named}`")


def resume(
    task: LastTask = "", comment: Comment = "", address: Address = "", as_json: AsJson = False
) -> None:
    """Allow a task's retrainings and promotions again."""
    with connected(address) as client:
        named = the_task(client, task, address)
        request = pb.ResumeReleasesRequest(task=named, actor=current_user(), comment=comment)
        was_paused = client.models.ResumeReleases(request, timeout=CALL_SECONDS).was_paused
    if as_json:
        print_json({"task": named, "paused": False, "was_paused": was_paused})
    elif was_paused:
        say(f"{named} is retrained again")
    else:
        say(f"{named} was not paused: nothing changed")
