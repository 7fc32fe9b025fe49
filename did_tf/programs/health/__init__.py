"""What `did_tf doctor` looks at: the software, the machine, the data, and whether each device trains."""
