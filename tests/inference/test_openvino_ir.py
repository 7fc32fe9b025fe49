"""Skipped without the extra `openvino`, which the tests' environment need not have."""

import each_format
import exported
import numpy as np
import pytest
from small import PLACED

pytest.importorskip("openvino")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "placement"), PLACED)
def test_every_architecture_agrees_at_odd_and_even_sizes(name, placement, tmp_path):
    each_format.check_agrees("openvino", name, placement, tmp_path / "openvino")


def test_one_agrees(tmp_path):
    each_format.check_agrees("openvino", "fcrn", "exact", tmp_path / "openvino")


def test_other_weights_are_refused(tmp_path, monkeypatch):
    each_format.check_refuses_other_weights("openvino", tmp_path / "openvino", monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(("nodata", "rule"), [(np.nan, "all"), (np.nan, "any"), (-1.0, "all"), (0.5, "any")])
def test_what_has_no_data(nodata, rule, tmp_path):
    each_format.check_no_data("openvino", nodata, rule, tmp_path / "openvino")


def test_float16_is_half_as_large(tmp_path):
    network, sizes = exported.network("fcrn"), []
    for folder in ("openvino", "openvino_float16"):
        each_format.written(folder, network, tmp_path / folder, lambda probabilities: 0.5)
        sizes.append((tmp_path / folder / "network.bin").stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]
