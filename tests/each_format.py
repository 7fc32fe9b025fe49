"""What every format must pass: each is a file of tests that says which, and skips without its extra."""

import exported
import numpy as np
import pytest
from served_here import ServedHere

from did_tf.inference import alone, export
from did_tf.inference.export import ExportFailed
from did_tf.inference.formats import FORMATS


def form(folder):
    """The `Format` of a name of a folder; the test is skipped where a package is missing."""
    found = next(form for form in FORMATS if form.folder == folder)
    for module in found.modules:
        pytest.importorskip(module)
    return found


def written(folder, network, path, score=None):
    """`Export` of a network in a format, checked in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "Served", ServedHere)
        return export.write(form(folder), exported.gate(network, score), path)


def check_agrees(folder, name, placement, path):
    """A small network passes the gate at odd and even sizes, batches of one to three, and leaves a whole folder."""
    result = written(folder, exported.network(name, placement), path)
    assert result.difference < 1e-4 and result.labels < 1e-3
    assert (path / "dataset.json").is_file() and result.bytes > 10_000


def check_refuses_other_weights(folder, path, monkeypatch):
    """A file of other weights is refused with the figure, and nothing is left."""
    right, wrong = exported.network("fcrn"), exported.shaken(exported.network("fcrn"))
    chosen = form(folder)
    monkeypatch.setattr(export, "Served", ServedHere)
    monkeypatch.setattr(export, "_convert", lambda form, network, folder: chosen.write(wrong, folder, form.precision))
    with pytest.raises(ExportFailed, match=rf"the {chosen.title} differs from the model on image0_whole, .* by 0\.\d"):
        export.write(chosen, exported.gate(right), path)
    assert not list(path.parent.iterdir())


def check_no_data(folder, nodata, rule, path):
    """What has no data is void in the format as it is in TensorFlow."""
    network = exported.network("fcrn", dtype="float32", nodata=nodata, nodata_rule=rule)
    image = np.random.default_rng(0).uniform(1, 255, (1, 40, 33, 3)).astype(np.float32)
    image[0, 5:20, 7:30, 1] = image[0, 25:30, 7:30] = nodata
    written(folder, network, path)
    found, expected = alone.KINDS[form(folder).name](str(path))["plain"](image), network.serve()(image)
    np.testing.assert_array_equal(np.asarray(found["classes"]) == 255, expected["classes"].numpy() == 255)
    assert (expected["classes"].numpy() == 255).sum() == 23 * (5 if rule == "all" else 20)
    np.testing.assert_allclose(np.asarray(found["probabilities"]), expected["probabilities"], rtol=0, atol=1e-4)
