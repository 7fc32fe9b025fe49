"""What the processor can: its features as the system lists them."""

from __future__ import annotations

import os
import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
"""Where Linux lists them; other systems have no such file."""
_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
_BFLOAT16 = {"avx512_bf16", "amx_bf16"}  # products of bfloat16, not mere conversions as those of avx_ne_convert
_ARM_BFLOAT16 = {"bf16"}
_ONEDNN_UNASKED = {"avx512_vnni", "avx_vnni", "avx512_bf16", "amx_tile"}


def has_bfloat16() -> bool:
    """Whether it computes in bfloat16 (AVX512-BF16 or AMX-BF16). False where that can't be told."""
    return bool(_features() & _BFLOAT16)


def multiplies_bfloat16() -> bool:
    """Whether it has products of bfloat16 in hardware: where it `has_bfloat16`, and ARM's bf16. False likewise."""
    return bool(_features() & (_BFLOAT16 | _ARM_BFLOAT16))


def is_avx2_alone() -> bool:
    """Whether it has AVX2 and no AVX-512, as most laptops and AMD's servers up to 2021. False likewise."""
    return "avx2" in _features() and "avx512f" not in _features()


def ask_for_onednn() -> None:
    """Asks TensorFlow, which is not imported yet, for oneDNN's operations on a processor where it leaves them out.

    They train faster there (docs/explanation/cpu.md). A variable that is set already stays.
    """
    if is_avx2_alone() and _ONEDNN not in os.environ:
        # It would say, as an error, that it leaves uint8 to TensorFlow's own; what fails is raised all the same.
        os.environ.update({_ONEDNN: "1", "TF_CPP_MIN_LOG_LEVEL": "3"})


def onednn_is_asked_for() -> bool:
    """Whether TensorFlow has oneDNN's operations because it was asked to, as by `ask_for_onednn`."""
    return is_avx2_alone() and os.environ.get(_ONEDNN) == "1"


def has_onednn() -> bool:
    """Whether TensorFlow computes with oneDNN's operations: where it is asked to, or not asked and finds it faster."""
    asked = os.environ.get(_ONEDNN)
    return asked == "1" if asked else bool(_features() & _ONEDNN_UNASKED)


def name(unknown: str = "this processor") -> str:
    """What it is called; `unknown` where nothing says it."""
    found = re.search(r"^model name\s*: *(.+)$", _cpuinfo(), re.MULTILINE)
    return found[1].strip() if found else unknown


def _features():
    lists = re.findall(r"^(?:flags|Features)\s*:(.*)$", _cpuinfo(), re.MULTILINE)
    return {feature for listed in lists for feature in listed.split()}


def _cpuinfo():
    try:
        return CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
