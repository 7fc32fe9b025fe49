"""What the processor can: its features as the system lists them."""

from __future__ import annotations

import platform
import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
"""Where Linux lists them; other systems have no such file."""
_BFLOAT16 = {"avx512_bf16", "amx_bf16"}  # products of bfloat16, not mere conversions as those of avx_ne_convert
_ARM_BFLOAT16 = {"bf16"}


def has_bfloat16() -> bool:
    """Whether it computes in bfloat16 (AVX512-BF16 or AMX-BF16). False where that can't be told."""
    return bool(_features() & _BFLOAT16)


def multiplies_bfloat16() -> bool:
    """Whether it has products of bfloat16 in hardware: where it `has_bfloat16`, and ARM's bf16. False likewise."""
    return bool(_features() & (_BFLOAT16 | _ARM_BFLOAT16))


def is_x86() -> bool:
    """Whether it is of the x86-64 family."""
    return platform.machine().lower() in ("x86_64", "amd64")


def name() -> str:
    """What it is called; "this processor" where nothing says it."""
    found = re.search(r"^model name\s*: *(.+)$", _cpuinfo(), re.MULTILINE)
    return found[1].strip() if found else "this processor"


def _features():
    lists = re.findall(r"^(?:flags|Features)\s*:(.*)$", _cpuinfo(), re.MULTILINE)
    return {feature for listed in lists for feature in listed.split()}


def _cpuinfo():
    try:
        return CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
