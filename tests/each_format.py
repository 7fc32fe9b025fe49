"""A network written in a format by the gate's own way, in this process."""

import exported
import pytest
from served_here import ServedHere

from did_tf.inference import export
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
