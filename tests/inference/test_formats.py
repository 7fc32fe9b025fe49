import subprocess
import sys

import exported
import pytest

from did_tf.common.errors import ConfigError
from did_tf.inference import alone, export, formats
from did_tf.inference.formats import FORMATS, choose


def test_formats_have_folders_of_their_own_and_a_runtime():
    assert len({form.folder for form in FORMATS}) == len(FORMATS)
    assert {form.name for form in FORMATS} == set(alone.KINDS)
    assert [form.folder for form in FORMATS if not form.exact] == [
        *("saved_model_bfloat16", "openvino_float16", "litert_float16", "litert_int8"),
    ]


@pytest.mark.parametrize(
    ("names", "precisions", "chosen"),
    [
        (["saved_model"], [], ["saved_model"]),
        (["litert", "onnx"], [], ["onnx", "litert"]),
        (["litert"], ["int8", "float16"], ["litert_float16", "litert_int8"]),
        (["onnx", "litert"], ["float32", "int8"], ["onnx", "litert", "litert_int8"]),
        (["all"], [], [form.folder for form in FORMATS]),
        (["all"], ["float32"], ["saved_model", "onnx", "openvino", "litert"]),
    ],
)
def test_choice(names, precisions, chosen):
    assert [form.folder for form in choose(names, precisions)] == chosen


@pytest.mark.parametrize(
    ("names", "precisions", "told"),
    [
        (["onx"], [], "--format must be of saved_model, onnx, .* all, got 'onx', did you mean 'onnx'"),
        (["onnx"], ["int4"], "--precision must be of float32, .* got 'int4'"),
        (["onnx"], ["int8"], "--format=onnx has the precisions float32, not int8"),
    ],
)
def test_what_is_not_known_is_refused(names, precisions, told):
    with pytest.raises(ConfigError, match=told):
        choose(names, precisions)


@pytest.mark.parametrize("form", [form for form in FORMATS if form.modules], ids=lambda form: form.folder)
def test_a_package_that_is_missing_is_named_with_how_to_install_it(form, monkeypatch):
    monkeypatch.setitem(sys.modules, form.modules[-1], None)
    with pytest.raises(ConfigError, match=rf"^--format={form.name} needs .*: pip install .*\[{form.name}\]'$"):
        form.check_packages()


@pytest.mark.slow
def test_extras_are_imported_when_they_are_needed():
    modules = [module for form in FORMATS for module in form.modules]
    code = f"import sys, did_tf.programs.export_model; print([m for m in {modules} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_a_converter_trips_over_is_told_and_leaves_nothing(tmp_path):
    def trip(network, folder, precision):
        (folder / "network.onnx").write_text("half")
        raise KeyError("no such\noperation")

    form = formats.Format("onnx", "float32", "ONNX file", "ONNX Runtime", "network.onnx", trip)
    with pytest.raises(export.ExportFailed, match=r"the network can't be written as ONNX file: .*no such.*operation"):
        export.write(form, exported.gate(exported.network("fcrn")), tmp_path / "onnx")
    assert not list(tmp_path.iterdir())
