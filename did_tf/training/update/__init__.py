"""What an update is made of: its passes, and their gradients."""
