"""A trained network at work: class probabilities of images of any size, pictures of them, and SavedModels."""
