"""What a network costs and what it sees, from its graph and its gradients, whatever it was trained on."""
