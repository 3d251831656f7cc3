"""The rows of three dataset versions, and the command that shows them."""

from collections.abc import Callable

from tidemill_core.domain.dataset import DatasetVersion

ODD_LABEL = "<script>alert('x')</script>"


FIRST = (
    "text,label\n"
    "my card is lost somewhere,card\n"
    "My card  is lost somewhere,card\n"
    "when do I see the refund,refund\n"
    f"please close this account,{ODD_LABEL}\n"
    "nobody can log in today,card\n"
    "they say both of this,card\n"
    "they say both of this,refund\n"
    ",card\n"
)


SECOND = FIRST.replace("the refund,refund", "the refund,money").replace(
    "nobody can log in today,card", "an app that crashes at night,app"
)


Tidemill = Callable[..., str]


def ids(versions: list[DatasetVersion]) -> list[str]:
    """Return the first 8 characters of each version's id."""
    return [version.dataset_version[:8] for version in versions]
