"""What is read of processors: lists of features as Linux writes them, and none."""

import os

import pytest

from did_tf.common import processor

XEON = "model name\t: Intel(R) Xeon(R) Platinum 8481C\nflags\t\t: fpu avx2 avx512f amx_bf16 avx512_bf16 amx_tile\n"
ZEN4 = "model name\t: AMD EPYC 9654\nflags\t\t: fpu avx2 avx512f avx512_bf16\n"
ZEN3 = "model name\t: AMD EPYC 7763\nflags\t\t: fpu avx2 fma\n"
CLIENT = "model name\t: Intel(R) Core(TM) Ultra 5\nflags\t\t: fpu avx2 avx_ne_convert\n"
GRAVITON = "processor\t: 0\nFeatures\t: fp asimd sve i8mm bf16\nCPU part\t: 0xd40\n"
# (of /proc/cpuinfo; bfloat16 as TensorFlow has it, products of bfloat16)
CASES = [(XEON, True, True), (ZEN4, True, True), (ZEN3, False, False), (CLIENT, False, False), (GRAVITON, False, True)]


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """Sets what the system says of the processor; None for a system without such a file."""

    def set_to(text):
        file = tmp_path / "cpuinfo"
        if text is not None:
            file.write_text(text)
        monkeypatch.setattr(processor, "CPUINFO", file)

    return set_to


@pytest.mark.parametrize("text, layers, products", [*CASES, (None, False, False), ("", False, False)])
def test_bfloat16_by_the_features(listed, text, layers, products):
    listed(text)
    assert (processor.has_bfloat16(), processor.multiplies_bfloat16()) == (layers, products)


@pytest.mark.parametrize("text, alone", [(XEON, False), (ZEN3, True), (CLIENT, True), (GRAVITON, False), (None, False)])
def test_avx2_without_what_came_after_it(listed, text, alone):
    listed(text)
    assert processor.is_avx2_alone() is alone


@pytest.mark.parametrize("text, alone", [(XEON, True), (ZEN4, True), (ZEN3, False), (GRAVITON, False), (None, False)])
@pytest.mark.parametrize("asked, told", [(None, None), ("0", False), ("1", True)])
def test_onednn_is_there_where_it_is_asked_for_or_else_by_the_features(listed, monkeypatch, text, alone, asked, told):
    listed(text)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if asked:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", asked)
    assert processor.has_onednn() is (alone if told is None else told)


def test_a_feature_counts_by_its_whole_name(listed):
    listed("model name\t: a CPU with avx512_bf16\nflags\t\t: fpu avx512_bf16_less\n")
    assert not processor.has_bfloat16()


@pytest.mark.parametrize(
    "text, name", [(ZEN3, "AMD EPYC 7763"), (GRAVITON, "this processor"), (None, "this processor")]
)
def test_it_has_a_name(listed, text, name):
    listed(text)
    assert processor.name() == name


@pytest.mark.parametrize(
    "text, given, expected", [(ZEN3, None, "1"), (ZEN3, "0", "0"), (ZEN4, None, None), (None, None, None)]
)
def test_onednn_is_asked_for_where_tensorflow_leaves_it_out(listed, monkeypatch, text, given, expected):
    listed(text)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", given or "")
    if given is None:
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    processor.ask_for_onednn()
    assert os.environ.get("TF_ENABLE_ONEDNN_OPTS") == expected
    assert processor.onednn_is_asked_for() is (expected == "1")
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
