"""Training semantic segmentation from scratch with TensorFlow and Keras."""

__version__ = "0.9.0"
