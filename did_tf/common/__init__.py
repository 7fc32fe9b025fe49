"""What every room may use and which knows no network: errors, files, text, pictures, the Keras generations."""
