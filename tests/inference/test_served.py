import io
import subprocess
import sys

import numpy as np
import pytest

from did_tf.inference import alone
from did_tf.inference.served import DoesNotRun, Served

# A kind that needs no runtime: its folder is what it does.
SCRIPT = """
import runpy, sys, numpy
module = runpy.run_path({path!r})
def kind(folder):
    print("chatter")
    if folder.endswith("broken"):
        raise ImportError("no such runtime")
    hidden = [name for name in ("did_tf", "data_pipelines", "keras", "tensorflow") if sys.modules[name] is None]
    def run(images):
        if images.max() > 9:
            raise ValueError("too bright")
        return {{"classes": images + 1, "hidden": numpy.array(hidden)}}
    return {{"plain": run}}
module["KINDS"]["onnx"] = kind
module["main"](*sys.argv[1:])
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    file = tmp_path / "script.py"
    file.write_text(SCRIPT.format(path=alone.__file__))
    monkeypatch.setattr(alone, "__file__", str(file))
    return tmp_path


def test_arrays_go_through_a_stream():
    stream = io.BytesIO()
    alone.send(stream, a=np.arange(6).reshape(2, 3), b=np.array("text"))
    alone.send(stream, c=1.5)
    stream.seek(0)
    first = alone.receive(stream)
    np.testing.assert_array_equal(first["a"], [[0, 1, 2], [3, 4, 5]])
    assert str(first["b"]) == "text" and alone.receive(stream)["c"] == 1.5
    with pytest.raises(EOFError):
        alone.receive(stream)


def test_a_stream_that_breaks_off_has_ended():
    stream = io.BytesIO()
    alone.send(stream, a=np.zeros(100))
    with pytest.raises(EOFError):
        alone.receive(io.BytesIO(stream.getvalue()[:50]))


def test_it_answers_batch_by_batch_and_knows_nothing_of_this_project(script):
    with Served("onnx", script) as process:
        assert process.ways == ("plain",) and np.isnan(process.seconds)
        for number in (3, 4):
            answer = process(np.full((2, 2), number))
            np.testing.assert_array_equal(answer["classes"], np.full((2, 2), number + 1))
        assert list(answer["hidden"]) == ["did_tf", "data_pipelines", "keras", "tensorflow"]
        assert 0 < process.seconds < 5
        if sys.platform == "linux":
            assert 5e6 < process.memory < 1e9
    assert process._process.returncode is not None


def test_what_does_not_load_is_told_by_its_last_words(script):
    with pytest.raises(DoesNotRun, match="^ImportError: no such runtime$"):
        Served("onnx", script / "broken")


def test_what_does_not_compute_likewise(script):
    with Served("onnx", script) as process, pytest.raises(DoesNotRun, match="^ValueError: too bright$"):
        process(np.full((500, 500), 10))


def test_one_that_ends_without_a_word(script):
    (script / "script.py").write_text("raise SystemExit(3)")
    with pytest.raises(DoesNotRun, match="exit status 3"):
        Served("onnx", script)


def test_the_script_imports_neither_this_project_nor_tensorflow():
    code = f"import runpy, sys; runpy.run_path({alone.__file__!r}); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert "'numpy'" in done.stdout
    assert not {"'did_tf'", "'tensorflow'", "'onnxruntime'"} & set(done.stdout.replace("[", "").split(", "))
