"""Training semantic segmentation from scratch with TensorFlow and Keras."""

__version__ = "0.8.0"
