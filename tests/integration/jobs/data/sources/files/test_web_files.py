"""Files behind a URL."""

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.unit.jobs.data.sources.landing import Landing
from tidemill_core.errors import DataError
from tidemill_core.settings import FilesSource
from tidemill_jobs.data.sources import open_source
from tidemill_jobs.data.sources.errors import SourceUnreadable
from tidemill_jobs.data.sources.files.stored_file import read_errors


def _origins(path: str, **values: str) -> list[object]:
    landing = Landing()
    landing.read(open_source(FilesSource(path=path, **values)))
    return [row["origin"] for row in landing.rows]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Return the URL of an HTTP server for a folder with one file."""
    (tmp_path / "b.csv").write_bytes(b"text,label\nx,a\n")

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/b.csv?broken"):
                self.send_error(500)
            elif self.path.startswith("/private"):
                self.send_error(403)
            else:
                super().do_GET()

        def log_message(self, *args: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_behind_a_url_is_read_and_its_signature_not_shown(web: str) -> None:
    """No origin and no error has the secret parts of a URL."""
    assert _origins(f"{web}/b.csv?signature=secret", format="csv") == [f"{web}/b.csv:2"]
    with pytest.raises(DataError, match=r"none\.csv") as caught:
        _origins(f"{web}/none.csv?signature=secret")
    assert caught.value.reason == "SOURCE_MISSING"
    assert "secret" not in str(caught.value)


def test_a_server_that_breaks_is_reported_without_the_signature(web: str) -> None:
    """The error is shown without the whole URL that the HTTP library repeats."""
    with pytest.raises(DataError, match=r"b\.csv cannot be read: the server answers 500") as caught:
        _origins(web.replace("//", "//bob:secret@") + "/b.csv?broken=secret", format="csv")
    assert caught.value.reason == "SOURCE_UNREADABLE"
    assert "secret" not in str(caught.value)


def test_a_file_that_the_server_does_not_show_is_not_missing(web: str) -> None:
    """A refusal is reported as one: the path may be right."""
    with pytest.raises(DataError, match="the server answers 403 Forbidden") as caught:
        _origins(f"{web}/private.csv")
    assert caught.value.reason == "SOURCE_UNREADABLE"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://127.0.0.1:1/a.csv", "nothing answers at 127.0.0.1:1"),
        ("http://nowhere.invalid/a.csv", "the name nowhere.invalid is not known"),
    ],
)
def test_a_server_that_is_away_is_reported(url: str, problem: str) -> None:
    """It is not said that the file is missing."""
    with pytest.raises(DataError, match=f"{url} cannot be read: {problem}"):
        _origins(url)


def test_a_bucket_that_is_away_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the words of AWS's tools, and no name of a class."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    words = (
        's3://b/a.csv cannot be read: Could not connect to the endpoint URL: "http://127.0.0.1:1"'
    )
    with pytest.raises(SourceUnreadable, match=f"^{words};"):
        _origins("s3://b/a.csv")


def test_a_server_that_sends_only_whole_files_is_reported(web: str, tmp_path: Path) -> None:
    """A large file is read in parts, which not every server can send."""
    (tmp_path / "large.csv").write_bytes(b"text,label\n" + b"x" * (16 << 20))
    with pytest.raises(DataError, match=r"large.csv cannot be read: .* no parts of a file;"):
        _origins(f"{web}/large.csv")


def test_a_web_server_that_hangs_is_not_a_missing_file() -> None:
    """The library reports the end of a wait as a file that is not there."""
    with (
        pytest.raises(SourceUnreadable, match="took too long to answer"),
        read_errors("http://a/b"),
    ):
        raise FileNotFoundError("http://a/b") from TimeoutError()
