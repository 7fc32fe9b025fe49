"""How good a network is: scores of a split, validation in training, and (`official`) what benchmarks' servers take."""
