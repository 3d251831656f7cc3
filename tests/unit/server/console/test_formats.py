"""How the console's pages write values."""

from tidemill_server.console.formats import pretty


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
