"""Environments of the others, each of its own: made once, where versions are others again."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / ".bench-env"
INDEX = "https://download.pytorch.org/whl/cpu"
"""Where PyTorch without CUDA is, which takes a tenth of the room."""
TORCH = "torch==2.13.0"
PACKAGES = {
    "torch": (TORCH, "numpy==2.4.6", "onnx==1.23.2", "onnxscript==0.7.2"),
    "runtimes": ("openvino==2026.4.1", "onnxruntime==1.32.0", "numpy==2.4.6"),
    "smp": (
        *(TORCH, "torchvision==0.28.0", "segmentation-models-pytorch==0.6.0"),
        *("albumentations==2.0.8", "opencv-python-headless==4.14.0.94", "numpy==2.4.6"),
    ),
    "nnunet": (TORCH, "nnunetv2==2.8.1", "numpy==2.4.6"),
}
"""{environment: what is in it}; the exporter to ONNX is with PyTorch, which it needs."""


def python_of(name):
    """Path of the interpreter of an environment, which is made where it isn't there."""
    folder = FOLDER / name
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    made, wanted = folder / "packages", "\n".join(PACKAGES[name])
    if not made.exists() or made.read_text() != wanted:
        print(f"making {folder}: {', '.join(PACKAGES[name])}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        options = ["--quiet", "--retries=1", f"--extra-index-url={INDEX}"] if TORCH in PACKAGES[name] else ["--quiet"]
        subprocess.run([str(python), "-m", "pip", "install", *options, *PACKAGES[name]], check=True)
        made.write_text(wanted)
    return str(python)
