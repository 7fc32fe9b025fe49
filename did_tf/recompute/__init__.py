"""Features that the backward pass computes again in place of keeping them."""
