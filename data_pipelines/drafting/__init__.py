"""What `did_tf describe-data` finds out about files that no dataset.yaml describes yet, and how it is written down."""
