"""The wheel in an environment of its own, used in an empty folder: no checkout, no network."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest
from program import PROJECT

import did_tf

pytestmark = pytest.mark.slow

SHIPPED = ("setup.py", "README.md", "LICENSE", "did_tf", "data_pipelines", "experiments")
TINY = [
    "--config.dataset.options.height=48",
    "--config.dataset.options.width=64",
    "--config.model.growth=4",
    "--config.model.units=(1,1,1,1)",
    "--config.data.crop=(33,33)",
    "--config.schedule.warmup=1",
    "--config.train.batch_size=2",
    "--config.train.steps=2",
]
MINE = '''"""An experiment of mine."""

from experiments.did import did_synthetic


def get_config():
    """The settings, see above."""
    c = did_synthetic.get_config()
    c.model.growth = 4
    return c
'''


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The built wheel. The sources are copied first: building leaves a folder beside them."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SHIPPED:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, folder / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder]
    done = run(*pip, folder)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("did_tf-*.whl"))


@pytest.fixture(scope="module")
def programs(wheel, tmp_path_factory):
    """Folder of the programs of an environment that has the wheel, and all else from the one that runs the tests."""
    home = tmp_path_factory.mktemp("environment")
    run("git", "init", home)  # somebody's project, with an environment inside
    run("git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--allow-empty", "-m", "a", cwd=home)
    venv.create(home, symlinks=True)
    paths = {"base": str(home), "platbase": str(home)}
    packages, scripts = (sysconfig.get_path(name, "venv", paths) for name in ("purelib", "scripts"))
    with open(os.path.join(packages, "others.pth"), "w") as file:
        print(sysconfig.get_path("purelib"), file=file)
    done = run(sys.executable, "-m", "pip", "--python", home, "install", "--no-deps", "--no-index", wheel)
    assert done.returncode == 0, done.stderr
    return scripts


@pytest.fixture
def did_tf_command(programs, tmp_path):
    """Function: what `did_tf ARGUMENTS` prints, in an empty folder."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def call(*arguments):
        done = run(os.path.join(programs, "did_tf"), *arguments, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def test_the_package_is_the_wheels_own(programs, tmp_path):
    names = ["did_tf", "data_pipelines", "experiments"]
    program = f"import {', '.join(names)}; print(*(name.__file__ for name in ({', '.join(names)})))"
    files = run(os.path.join(programs, "python"), "-c", program, cwd=tmp_path).stdout.split()
    assert len(files) == 3
    assert all(file.startswith(os.path.dirname(programs)) for file in files)


def test_what_it_says_of_itself(programs, tmp_path):
    program = "import importlib.metadata as m; print(m.distribution('did_tf').read_text('METADATA'))"
    text = run(os.path.join(programs, "python"), "-c", program, cwd=tmp_path).stdout
    for line in (f"Version: {did_tf.__version__}", "License-File: LICENSE", "# did_tf"):
        assert line in text.splitlines()


def test_the_page_of_the_server_is_in_it(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"did_tf/serving/page/{name}" for name in ("index.html", "page.css", "page.js")} <= {*names}


def test_commands_run_in_an_empty_folder(did_tf_command, tmp_path):
    assert did_tf_command("--version") == f"did_tf {did_tf.__version__}\n"
    assert "did_camvid_quick" in did_tf_command("train", "--help")
    did_tf_command("train", "--experiment=did_synthetic", *TINY)
    did_tf_command("evaluate", "--experiment=did_synthetic", "--limit=2")
    run_folder = tmp_path / "runs" / "did_synthetic"
    assert (run_folder / "evaluation").is_dir()
    manifest = json.loads((run_folder / "manifest.json").read_text())
    assert manifest["git_commit"] is None, "an installed package is of no commit"
    did_tf_command("prepare", "--dataset=synthetic", "--splits=val", "--option=height=48")
    assert (tmp_path / "data" / "synthetic_prepared" / "val.json").is_file()


def test_an_experiment_of_ones_own(did_tf_command, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "my_did.py").write_text(MINE)
    did_tf_command("train", "--experiment=mine/my_did.py", *TINY)
    assert (tmp_path / "runs" / "my_did" / "metrics.csv").is_file()
