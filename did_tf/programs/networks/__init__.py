"""The commands about a network as such: its cost, what it sees, pictures of it, the tables of networks."""
