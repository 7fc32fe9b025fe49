"""A user's own data: what a dataset.yaml says, which files belong together, and their statistics."""
