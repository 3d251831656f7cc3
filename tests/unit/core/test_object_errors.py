"""What the errors of an S3 server are called, and what they advise."""

import pytest
from botocore.exceptions import ClientError
from s3fs.errors import translate_boto_error

from tidemill_core.errors import TidemillError
from tidemill_core.object_errors import converted


@pytest.mark.parametrize(
    ("code", "reason", "advice"),
    [
        ("QuotaExceeded", "OBJECT_STORAGE_REFUSED", "raise its quota"),
        ("XMinioStorageFull", "OBJECT_STORAGE_REFUSED", "make room in the bucket"),
        ("InternalError", "OBJECT_STORAGE_UNAVAILABLE", "its disk or the bucket's quota"),
        ("SlowDown", "OBJECT_STORAGE_UNAVAILABLE", "the error SlowDown: no. Try again"),
        ("RequestTimeTooSkewed", "OBJECT_STORAGE_REFUSED", "set the clock"),
    ],
)
def test_a_server_that_answers_is_not_away(code: str, reason: str, advice: str) -> None:
    """A full bucket is named as such, and no error that was answered is called a silence."""
    answered = ClientError({"Error": {"Code": code, "Message": "no"}}, "PutObject")
    with pytest.raises(TidemillError) as caught, converted("s3://bucket/folder"):
        raise translate_boto_error(answered)
    assert caught.value.reason == reason
    assert advice in str(caught.value)
    assert "does not answer" not in str(caught.value)
