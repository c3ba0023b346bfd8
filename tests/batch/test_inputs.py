"""What a batch lists and reads: every form of input gives the same bytes."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mien.api.sources import Source
from mien.batch.inputs import Entry, list_entries, open_sources
from mien.errors import InputError, MediaError, MediaNotFoundError

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

Make = Callable[[Path, Path], str]


def content(source: Source) -> bytes:
    assert source.error is None, source.error
    return source.data if isinstance(source.data, bytes) else Path(source.data).read_bytes()


def pack_tar(media: Path, folder: Path) -> str:
    with tarfile.open(folder / "shard.tar", "w") as archive:
        for path in sorted(media.iterdir()):
            archive.add(path, path.name)
            info = tarfile.TarInfo(f"{path.stem}.json")
            info.size = 2
            archive.addfile(info, io.BytesIO(b"{}"))
    return str(folder / "shard.tar")


def list_text(media: Path, folder: Path) -> str:
    (folder / "list.txt").write_text("".join(f"{path}\n" for path in sorted(media.iterdir())))
    return str(folder / "list.txt")


def list_csv(media: Path, folder: Path) -> str:
    lines = ["id,path", *(f"{k},{path}" for k, path in enumerate(sorted(media.iterdir())))]
    (folder / "list.csv").write_text("\n".join(lines))
    return str(folder / "list.csv")


def list_paths(media: Path, folder: Path) -> str:
    parquet.write_table(arrow.table({"path": [str(p) for p in sorted(media.iterdir())]}), folder / "paths.parquet")
    return str(folder / "paths.parquet")


def pack_bytes(media: Path, folder: Path) -> str:
    contents = [path.read_bytes() for path in sorted(media.iterdir())]
    parquet.write_table(arrow.table({"bytes": contents}), folder / "media.parquet", row_group_size=4)
    return str(folder / "media.parquet")


def pack_structs(media: Path, folder: Path) -> str:
    rows = [{"bytes": path.read_bytes(), "path": path.name} for path in sorted(media.iterdir())]
    parquet.write_table(arrow.table({"image": rows}), folder / "hub.parquet")
    return str(folder / "hub.parquet")


def as_folder(media: Path, folder: Path) -> str:
    return str(media)


FORMS = (as_folder, pack_tar, list_text, list_csv, list_paths, pack_bytes, pack_structs)


@pytest.mark.parametrize("make", FORMS)
def test_every_form_gives_the_same_bytes(make: Make, media: Path, tmp_path: Path) -> None:
    entries = list(list_entries([make(media, tmp_path)]))
    found = [content(source) for source in open_sources(entries, root="")]
    assert found == [path.read_bytes() for path in sorted(media.iterdir())]


def test_kinds_are_those_of_the_content(media: Path, tmp_path: Path) -> None:
    sources = open_sources(list_entries([pack_bytes(media, tmp_path)]), root="")
    names = [path.suffix for path in sorted(media.iterdir())]
    assert [source.kind for source in sources] == ["audio" if name == ".wav" else "image" for name in names]


def test_relative_paths_start_from_the_root(media: Path) -> None:
    entries = list(list_entries([media.name], root=str(media.parent)))
    assert [entry.path for entry in entries] == [f"{media.name}/{p.name}" for p in sorted(media.iterdir())]
    assert all(source.error is None for source in open_sources(entries, root=str(media.parent)))


def test_names_of_any_kind(media: Path, tmp_path: Path) -> None:
    image = (media / "face-0.png").read_bytes()
    names = [b"line\nbreak.png", b"not-\xff-utf8.png", b"star*[1].png", b" blank .png"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(image)
    entries = list(list_entries([str(tmp_path)]))
    assert sorted(os.fsencode(Path(entry.path).name) for entry in entries) == sorted(names)
    assert [content(source) for source in open_sources(entries, root="")] == [image] * 4


@pytest.mark.parametrize(
    ("name", "text", "error", "message"),
    [
        ("list.csv", "a,b\n1,2\n", InputError, "it has a, b"),
        ("list.csv", "", InputError, "it has none"),
        ("shard.tar", "no archive", MediaError, "cannot read .*shard.tar"),
        ("media.parquet", "no table", MediaError, "cannot read .*media.parquet"),
    ],
)
def test_lists_that_cannot_be_read(name: str, text: str, error: type[Exception], message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(error, match=message):
        list(list_entries([str(tmp_path / name)]))


def test_columns_of_other_types_and_names(tmp_path: Path) -> None:
    parquet.write_table(arrow.table({"path": [1, 2], "photo": ["a.png", None]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="holds neither paths nor bytes, but int64"):
        list(list_entries([str(tmp_path / "t.parquet")]))
    with pytest.raises(InputError, match="no column 'x'; it has path, photo"):
        list(list_entries([str(tmp_path / "t.parquet")], column="x"))
    assert list(list_entries([str(tmp_path / "t.parquet")], column="photo")) == [Entry("a.png")]


def test_what_cannot_be_read_is_an_error_of_its_item(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "cut.tar", "w") as archive:
        info = tarfile.TarInfo("a.png")
        info.size = 4000
        archive.addfile(info, io.BytesIO(bytes(4000)))
    entries = [
        Entry("missing.png"),
        Entry(str(tmp_path)),
        Entry(str(tmp_path / "gone.tar"), "a.png", 512, 10),
        Entry(str(tmp_path / "cut.tar"), "a.png", 512, 10**6),
        Entry("name\0with-zero.png"),
    ]
    messages = [str(source.error) for source in open_sources(entries, root=str(tmp_path))]
    for message, part in zip(messages, ("no such file", "is a folder", "No such file", "is cut off", ""), strict=True):
        assert part in message
        assert "\n" not in message
        assert message != "None"


def test_nothing_there() -> None:
    with pytest.raises(MediaNotFoundError):
        list(list_entries(["/no/such/folder"]))


@pytest.fixture(scope="module")
def bucket(media: Path) -> Iterator[str]:
    """Serve the media from a bucket of a local S3 service."""
    pytest.importorskip("obstore")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        host, port = server.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ALLOW_HTTP", "true")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_REGION", "us-east-1")
        import http.client

        client = http.client.HTTPConnection(host, port)
        names = {f"/mien-test/photos/{path.name}": path.read_bytes() for path in media.iterdir()}
        for name, body in ({"/mien-test": b""} | names | {"/mien-test/photos/notes.doc": b"x"}).items():
            client.request("PUT", name, body)
            answer = client.getresponse()
            answer.read()
            assert answer.status == 200
        client.close()
        yield "s3://mien-test"
        server.stop()


def test_an_object_store(bucket: str, media: Path, tmp_path: Path) -> None:
    import obstore

    expected = [path.read_bytes() for path in sorted(media.iterdir())]
    entries = sorted(list_entries([f"{bucket}/photos/"]), key=lambda entry: entry.path)
    assert [content(source) for source in open_sources(entries, root="")] == expected
    assert [entry.size for entry in entries] == list(map(len, expected))

    store = obstore.store.from_url(bucket)
    obstore.put(store, "shard.tar", Path(pack_tar(media, tmp_path)).read_bytes())
    obstore.put(store, "media.parquet", Path(pack_bytes(media, tmp_path)).read_bytes())
    for name in ("shard.tar", "media.parquet"):
        found = list(open_sources(list_entries([f"{bucket}/{name}"]), root=""))
        assert [content(source) for source in found] == expected

    missing = next(iter(open_sources([Entry(f"{bucket}/gone.png")], root="")))
    assert isinstance(missing.error, MediaNotFoundError)
    with pytest.raises(MediaNotFoundError, match="no object at s3://mien-test/nothing/"):
        list(list_entries([f"{bucket}/nothing/"]))
