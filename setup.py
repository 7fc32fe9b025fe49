"""Package metadata. `make setup` installs it; the two supported stacks are described in README.md."""

from setuptools import find_packages, setup

TENSORFLOW = ">=2.15,<2.22"
CITYSCAPES = "cityscapesScripts>=2.2,<3"

setup(
    name="did_tf",
    version="0.1.0",
    description="Training semantic segmentation from scratch with TensorFlow and Keras",
    packages=find_packages(include=["did_tf*", "data_pipelines*", "experiments*"]),
    python_requires=">=3.9",
    install_requires=[
        f"tensorflow{TENSORFLOW}",
        f"tensorboard{TENSORFLOW}",  # TensorFlow 2.21 no longer brings it
        "numpy>=1.23,<3",
        "opencv-python>=4.8,<5",
        "absl-py>=1.4,<3",
        "ml_collections>=1,<2",
        "matplotlib>=3.7,<4",
        "pillow>=9.2,<14",
        "pyyaml>=6,<7",
        "rasterio>=1.3,<2",  # TIFF of any bands and depth, in windows
        "scipy>=1.9,<2",  # MATLAB files
        "tqdm>=4.64,<5",
    ],
    extras_require={
        # End of life since May 2024: runs on TensorFlow 2.15, which needs Python 3.9 to 3.11.
        "addons": ["tensorflow-addons>=0.23,<0.24", "tensorflow>=2.15,<2.16", "numpy>=1.23,<2"],
        "gpu": [f"tensorflow[and-cuda]{TENSORFLOW}"],
        "cityscapes": [CITYSCAPES],
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
        ],
    },
)
