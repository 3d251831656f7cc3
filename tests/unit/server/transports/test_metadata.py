"""Header fields of gRPC over HTTP/2."""

import base64

import pytest
from google.rpc import code_pb2

from tidemill_server.rpc.status import Status
from tidemill_server.transports.metadata import InvalidHead, fields_of, head_of, seconds_of
from tidemill_server.transports.transport import MAX_METADATA_BYTES


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [(b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"99999999m", 99999.999), (b"5u", 5e-6), (b"0n", 0)],
)
def test_timeouts_have_units(timeout: bytes, seconds: float) -> None:
    """Each unit of the protocol is known."""
    assert seconds_of(timeout) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "timeout", [b"", b"1", b"S", b"-1S", b"1.5S", b"123456789S", b"1s", b"1S "]
)
def test_a_timeout_that_cannot_be_read_is_refused(timeout: bytes) -> None:
    """More than eight digits, another unit, or no number is an error."""
    with pytest.raises(InvalidHead, match="grpc-timeout"):
        head_of([(b"grpc-timeout", timeout)])


@pytest.mark.parametrize("value", [b"AAEC/w==", b"AAEC/w"])
def test_binary_metadata_is_base64_with_or_without_padding(value: bytes) -> None:
    """Its values are bytes."""
    assert head_of([(b"x-bin", value)]).metadata == (("x-bin", b"\0\1\2\xff"),)


def test_binary_values_may_be_joined() -> None:
    """Several values of one name may come in one field, separated by commas."""
    assert head_of([(b"x-bin", b"YQ,Yg==")]).metadata == (("x-bin", b"a"), ("x-bin", b"b"))


def test_binary_metadata_that_is_not_base64_is_refused() -> None:
    """The error names the field."""
    with pytest.raises(InvalidHead, match="x-bin"):
        head_of([(b"x-bin", b"a")])


def test_metadata_excludes_the_fields_of_the_protocol() -> None:
    """What a caller sends besides is kept, in its order."""
    fields = [(b"te", b"trailers"), (b"content-type", b"application/grpc"), (b"a", b"1")]
    head = head_of([*fields, (b"host", b"x"), (b"grpc-timeout", b"1S"), (b"a", b"2")])
    assert head.metadata == (("a", "1"), ("a", "2"))
    assert (head.trailers, head.timeout, head.encoding) == (True, 1.0, b"identity")


def test_too_much_metadata_is_refused() -> None:
    """It is RESOURCE_EXHAUSTED, as from other servers."""
    with pytest.raises(InvalidHead) as caught:
        head_of([(b"a", b"x" * MAX_METADATA_BYTES)])
    assert caught.value.code == code_pb2.RESOURCE_EXHAUSTED


def test_a_status_is_percent_encoded_and_its_details_base64() -> None:
    """Messages may have any character; details have no padding."""
    status = Status(3, "50 % von \u20ac\n", (("grpc-status-details-bin", b"\0"), ("a", "b")))
    assert fields_of(status) == [
        (b"grpc-status", b"3"),
        (b"grpc-message", b"50 %25 von %E2%82%AC%0A"),
        (b"grpc-status-details-bin", base64.b64encode(b"\0").rstrip(b"=")),
        (b"a", b"b"),
    ]
