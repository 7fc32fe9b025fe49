"""Processes that train together, on one host or several: where they are, what they tell each other, their start."""
