"""Archives: downloaded whole or not at all; what is wrong, hostile or damaged is refused."""

import http.server
import os
import stat
import tarfile
import threading
import zipfile

import pytest
from archive_files import FILES, assert_refused, contents, make_tar, make_zip, write_files

from data_pipelines import DataError
from data_pipelines.programs import archives, fetch
from data_pipelines.programs.sources import digest


class TestWrongContent:
    def test_another_byte(self, source, target, tmp_path):
        archive = make_zip(tmp_path / "x.zip", {**FILES, "trainannot/b.png": b"label B"})
        changed = digest(write_files(tmp_path / "bad", {"a.png": b"label a", "b.png": b"label B"}))
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
        monkeypatch.setattr(archives, "MAX_BYTES", 10_000)
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
        monkeypatch.setattr(archives, "MAX_BYTES", 1000)
        write_files(tmp_path, {"x.zip": bytes(2000)})
        with pytest.raises(DataError, match="more than 1000 bytes"):
            fetch.fetch(source, target, url=f"{served}/x.zip")
