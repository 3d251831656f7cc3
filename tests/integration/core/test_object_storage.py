"""Folders of files on a real S3 server."""

import json
from itertools import count
from pathlib import Path

import pytest
from s3fs import S3FileSystem

from tests.plugins.s3 import READ_ONLY, S3, SECRET, FailingS3
from tidemill_cli.main import run
from tidemill_core.errors import ConfigurationError, TidemillError
from tidemill_core.object_errors import (
    ObjectDamaged,
    ObjectStorageRefused,
    ObjectStorageUnavailable,
)
from tidemill_core.object_storage import Index, ObjectStorage, hashed_name

OLD = {"a.txt": b"old a", "b.txt": b"same", "gone.txt": b"only old"}
NEW = {"a.txt": b"new a", "b.txt": b"same", "c.txt": b"only new"}
NAME = "support/one"


@pytest.fixture
def storage(place: str) -> ObjectStorage:
    """An empty storage."""
    return ObjectStorage(f"s3://{place}/data", hashed_name)


def write(storage: ObjectStorage, folder: Path, files: dict[str, bytes], name: str = NAME) -> None:
    """Write files as a folder of the storage."""
    folder.mkdir(exist_ok=True)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    storage.write(name, {file: folder / file for file in files})


def read(storage: ObjectStorage, folder: Path) -> dict[str, bytes]:
    """Download the folder to a new place; return its files."""
    target = next(
        path for path in (folder / f"read-{number}" for number in count()) if not path.exists()
    )
    if not storage.download(NAME, target, folder / "staging"):
        return {}
    return {path.name: path.read_bytes() for path in target.iterdir()}


def objects(s3: S3, place: str) -> list[bytes]:
    """Return the content of all objects of a place, except the lists of files."""
    files = s3.files()
    return sorted(files.cat_file(path) for path in files.find(place) if ".json" not in path)


def test_a_folder_comes_back(storage: ObjectStorage, tmp_path: Path) -> None:
    """Another machine lists and downloads the files that one has written, and no others."""
    assert read(storage, tmp_path) == {}
    assert storage.names() == []
    write(storage, tmp_path / "here", OLD)
    write(storage, tmp_path / "here", NEW, "other/two")
    assert read(storage, tmp_path) == OLD
    assert storage.names() == ["other/two", NAME]
    assert storage.names("support") == [NAME]


def test_a_writer_cut_off_at_any_step(
    storage: ObjectStorage, s3: S3, place: str, tmp_path: Path
) -> None:
    """A reader then sees the old files or the new ones, and a second writer completes it."""
    cut_off = ObjectStorage(f"failing://{place}/data", hashed_name)
    seen = []
    for calls in count():
        write(storage, tmp_path / "old", OLD)
        FailingS3.calls_left = calls
        try:
            write(cut_off, tmp_path / "new", NEW)
        except ObjectStorageUnavailable:
            seen.append(read(storage, tmp_path))
            FailingS3.calls_left = float("inf")
            write(cut_off, tmp_path / "new", NEW)
        else:
            break
        assert read(storage, tmp_path) == NEW
        assert objects(s3, place) == sorted(NEW.values())
    assert OLD in seen
    assert NEW in seen
    assert all(files in (OLD, NEW) for files in seen)


def test_a_reader_meets_a_writer(storage: ObjectStorage, tmp_path: Path) -> None:
    """A reader whose objects were replaced meanwhile starts again, and sees the new files."""
    write(storage, tmp_path / "old", OLD)
    seen: list[set[str]] = []

    def use(index: Index) -> None:
        seen.append(set(index))
        if len(seen) == 1:
            write(storage, tmp_path / "new", NEW)
        storage.download_file(NAME, index["a.txt"], tmp_path / "a")

    assert storage.read_whole(NAME, use)
    assert seen == [set(OLD), set(NEW)]
    assert (tmp_path / "a").read_bytes() == NEW["a.txt"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"odd a", "its SHA-256"), (b"ol", "2 bytes instead of 5"), (None, "is missing")],
)
def test_a_damaged_object(
    storage: ObjectStorage,
    s3: S3,
    place: str,
    tmp_path: Path,
    content: bytes | None,
    words: str,
) -> None:
    """A changed, truncated or missing object is named, and no part of the folder appears."""
    write(storage, tmp_path / "here", OLD)
    (path,) = s3.files().glob(f"{place}/data/{NAME}/a-*.txt")
    s3.files().rm_file(path)
    if content is not None:
        s3.files().pipe_file(path, content)
    with pytest.raises(ObjectDamaged, match=words) as caught:
        read(storage, tmp_path)
    assert path.removeprefix(place) in str(caught.value)
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("read")] == []
    s3.files().rm_file(f"{place}/data/{NAME}/objects.json")
    write(storage, tmp_path / "here", OLD)
    assert read(storage, tmp_path) == OLD


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[" * 100_000,
        b'{"a.txt": {}}',
        b'{"a.txt": {"key": 7, "size": 1, "sha256": ""}}',
        b'{"../a.txt": {"key": "a", "size": 1, "sha256": ""}}',
        b'{"a.txt": {"key": "../../other/a", "size": 1, "sha256": ""}}',
    ],
)
def test_a_damaged_list(
    storage: ObjectStorage, s3: S3, place: str, tmp_path: Path, content: bytes
) -> None:
    """A damaged `objects.json` is named, and one whose names leave its folder is damaged."""
    write(storage, tmp_path / "here", OLD)
    s3.files().pipe_file(f"{place}/data/{NAME}/objects.json", content)
    with pytest.raises(ObjectDamaged, match=r"objects\.json is damaged"):
        read(storage, tmp_path)


def test_a_folder_that_no_version_has(storage: ObjectStorage, s3: S3, place: str) -> None:
    """A name that would be another path on this machine is not listed."""
    s3.files().pipe_file(f"{place}/data/support/one/two/objects.json", b"{}")
    s3.files().pipe_file(f"{place}/data/objects.json", b"{}")
    assert storage.names() == []


@pytest.fixture
def refusing(place: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Return the name of a bucket that cannot be written, for the reason that a test names."""
    if request.param == "credentials":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    if request.param == "permission":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", READ_ONLY)
    if request.param == "endpoint":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9")
    if request.param == "away":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return {"bucket": "no-such-bucket", "name": "NOT_valid"}.get(request.param, place)


@pytest.mark.parametrize(
    ("refusing", "kind", "words"),
    [
        ("bucket", ObjectStorageRefused, "refuses: The specified bucket does not exist: create"),
        ("permission", ObjectStorageRefused, "need to read, write, list and delete"),
        ("credentials", ObjectStorageRefused, "set AWS_ACCESS_KEY_ID"),
        ("endpoint", ObjectStorageRefused, "fix the URL, or AWS_ENDPOINT_URL"),
        ("name", ObjectStorageRefused, "refuses: The specified bucket is not valid: fix the URL"),
        ("away", ObjectStorageUnavailable, 'not answer: .*URL: "http://127.0.0.1:9". Try again'),
    ],
    indirect=["refusing"],
)
def test_what_refuses(refusing: str, kind: type[TidemillError], words: str, tmp_path: Path) -> None:
    """The error says what is wrong and what to do, and has no secret."""
    storage = ObjectStorage(f"s3://{refusing}/data", hashed_name)
    with pytest.raises(kind, match=words) as caught:
        write(storage, tmp_path / "here", OLD)
    assert f"s3://{refusing}/data" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_any_storage_of_fsspec(tmp_path: Path) -> None:
    """Other URLs of fsspec work too, and one that it does not know is refused."""
    storage = ObjectStorage((tmp_path / "share").as_uri(), hashed_name)
    write(storage, tmp_path / "here", OLD)
    write(storage, tmp_path / "here", NEW)
    assert read(storage, tmp_path) == NEW
    with pytest.raises(ConfigurationError, match="nope://x cannot be used"):
        ObjectStorage("nope://x", hashed_name)


def _doctor(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    capsys.readouterr()
    run(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    return {check["name"]: check for check in found if check["name"].endswith("_storage")}


def test_doctor_checks_object_storage(
    s3: S3,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It says what works, is missing, keeps deleted objects, or refuses the credentials."""
    monkeypatch.chdir(tmp_path)
    versioned = f"versioned-{place.partition('/')[2]}"
    s3.files().makedirs(versioned)
    s3.files().call_s3(
        "put_bucket_versioning", Bucket=versioned, VersioningConfiguration={"Status": "Enabled"}
    )
    monkeypatch.setenv("TIDEMILL_DATASET_STORAGE", f"s3://{place}")
    monkeypatch.setenv("TIDEMILL_MODEL_STORAGE", f"s3://{versioned}/models")
    found = _doctor(capsys)
    assert found["dataset_storage"]["result"] == "ok"
    assert found["model_storage"]["result"] == "warn"
    assert "turn versioning off" in found["model_storage"]["remedy"]
    assert [path for path in s3.files().find(place) if "staged" in path] == []
    monkeypatch.setenv("TIDEMILL_DATASET_STORAGE", "s3://missing-bucket/data")
    monkeypatch.setenv("TIDEMILL_MODEL_STORAGE", "ghost://here")
    found = _doctor(capsys)
    assert "create the bucket, or fix the URL" in found["dataset_storage"]["found"]
    assert "ghost://here cannot be used" in found["model_storage"]["found"]
    monkeypatch.setenv("TIDEMILL_DATASET_STORAGE", f"s3://{place}")
    monkeypatch.delenv("TIDEMILL_MODEL_STORAGE")
    for key, cure in (
        (READ_ONLY, "Access Denied: check the credentials: they need to read, write, list and del"),
        ("unknown", "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's role"),
    ):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        S3FileSystem.clear_instance_cache()
        assert cure in _doctor(capsys)["dataset_storage"]["found"]
