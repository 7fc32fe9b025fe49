"""Package metadata. `make setup` installs it; docs/reference/platforms.md describes the two stacks."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
# Read, not imported: what did_tf needs may not be installed yet.
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "did_tf" / "__init__.py").read_text("utf-8"), re.MULTILINE)[1]
TENSORFLOW = ">=2.15,<2.22"
CITYSCAPES = "cityscapesScripts>=2.2,<3"
SURFACES = "surface-distance>=0.1,<0.2"  # the one release; of SciPy it uses names that 2.0 will lack
SEARCH = "optuna>=4,<6"  # samplers and pruners, which 4 and 5 have under the same names
SERVE = [
    "starlette>=0.49.1,<2",  # mends CVE-2025-62727
    "uvicorn>=0.30,<1",  # whose HTTP/1.1 protocol did_tf/serving/running.py puts a time limit on
    "h11>=0.16,<1",  # mends CVE-2025-43859
    "prometheus-client>=0.20,<1",
]

setup(
    name="did_tf",
    version=VERSION,
    description="Training semantic segmentation from scratch with TensorFlow and Keras",
    long_description=(ROOT / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    author="The did_tf authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords="semantic segmentation, TensorFlow, Keras, training from scratch, DenseNet, dilated convolution, CamVid",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: Microsoft :: Windows",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    packages=find_packages(include=["did_tf*", "data_pipelines*", "experiments*"]),
    package_data={"did_tf.serving": ["page/*"]},
    entry_points={"console_scripts": ["did_tf = did_tf.__main__:main"]},
    python_requires=">=3.10",  # as ml_collections 1
    install_requires=[
        f"tensorflow{TENSORFLOW}",
        f"tensorboard{TENSORFLOW}",  # TensorFlow 2.21 no longer brings it
        "keras>=2.15,<3.16",  # how its optimizers add up gradients is known that far (did_tf/common/compat.py)
        "numpy>=1.23,<3",
        "opencv-python>=4.8.1.78,<5",  # with the libwebp that mends CVE-2023-4863, as Pillow
        "absl-py>=1.4,<3",
        "ml_collections>=1,<2",
        "matplotlib>=3.7,<4",
        "pillow>=10.0.1,<14",
        "psutil>=5.9,<8",  # free memory, on every system
        "pyyaml>=6,<7",
        "rasterio>=1.3,<2",  # TIFF of any bands and depth, in windows
        "scipy>=1.9,<2",  # MATLAB files
        "tqdm>=4.64,<5",
    ],
    extras_require={
        # End of life since May 2024: runs on TensorFlow 2.15, which needs Python 3.10 or 3.11.
        "addons": ["tensorflow-addons>=0.23,<0.24", "tensorflow>=2.15,<2.16", "numpy>=1.23,<2"],
        "gpu": [f"tensorflow[and-cuda]{TENSORFLOW}"],
        "cityscapes": [CITYSCAPES],
        # `--crf`. Comes as source: it wants a C++ compiler, and what its Cython 0.29 writes is none of Python 3.13's.
        "crf": ["pydensecrf2>=1.1,<2; python_version<'3.13'"],
        # `--engine=openvino`, `--format=openvino`. From the version that was compared with TensorFlow; earlier ones
        # refuse newer NumPys.
        "openvino": ["openvino>=2026.4,<2027"],
        # `--format=onnx`. Earlier tf2onnx know no NumPy 2; ONNX Runtime 1.23 is the last of Python 3.10.
        "onnx": ["tf2onnx>=1.17,<2", "onnx>=1.17,<2", "onnxruntime>=1.23,<2"],
        # `--format=litert`: what runs the file. TensorFlow's own converter writes it.
        "litert": ["ai-edge-litert>=2.1,<3"],
        "search": [SEARCH],  # `did_tf search`
        "serve": SERVE,  # `did_tf serve`
        "surfaces": [SURFACES],  # `evaluate --surfaces`
        # `make docs`. From the first Sphinx that Python 3.10 has with furo and MyST as they are used here.
        "docs": ["sphinx>=8.1,<10", "furo>=2024.8.6", "myst-parser>=4,<6"],
        # `make mutate`: its operators alone, through what 8.7 names `mutate_code` and `ast_nodes`.
        "mutation": ["cosmic-ray>=8.7,<9"],
        "test": [
            "pytest>=8,<10",
            "pytest-xdist>=3.5,<4",
            "nbclient>=0.7,<1",  # runs the tutorial that is a notebook; so do the next two
            "nbformat>=5.7,<6",
            "ipykernel>=6.20,<8",
            "ruff>=0.14,<0.18",
            "import-linter>=2.5,<3",
            "mypy>=1.13,<3",
            "types-PyYAML>=6",
            "types-tqdm>=4.64",
            "tifffile>=2023",
            CITYSCAPES,
            SEARCH,
            SURFACES,
            *SERVE,
        ],
    },
)
