"""How the console's pages write values."""

from google.protobuf.struct_pb2 import Struct

from tidemill_server.console.formats import brief, plain, pretty


def test_the_numbers_of_a_list_are_on_one_line() -> None:
    """The counts of a run's result are read at a glance; other values have a line each."""
    counts = {"confidence_counts": [0, 0.5, 1e-05, -3], "labels": ["1", "card, fee"], "none": []}
    assert pretty(counts).splitlines() == [
        "{",
        '  "confidence_counts": [0, 0.5, 1e-05, -3],',
        '  "labels": [',
        '    "1",',
        '    "card, fee"',
        "  ],",
        '  "none": []',
        "}",
    ]
    assert pretty([1, 2]) == "[1, 2]"
    assert pretty("rows [ 1,  2 ]") == '"rows [ 1,  2 ]"'


def test_whole_numbers_have_no_decimal_places() -> None:
    """A count in a run's result or a request is `40`, though JSON has it as 40.0."""
    message = Struct()
    message.update({"counts": {"card": 40, "fee": 0.5}, "list": [1, 2.5], "version": 3})
    assert plain(message) == {"counts": {"card": 40, "fee": 0.5}, "list": [1, 2.5], "version": 3}
    assert "40.0" not in pretty(plain(message))
    message.update({"huge": 1e300})
    assert '"huge": 1e+300' in pretty(plain(message))


def test_a_request_is_one_line() -> None:
    """The audit trail shows a request's fields side by side, those of a part after its name."""
    request = {"job": "score", "score": {"input": "a.csv", "model_version": 9}}
    assert brief(request) == "job=score score.input=a.csv score.model_version=9"
