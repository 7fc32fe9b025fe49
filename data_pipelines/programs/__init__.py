"""Commands on data sets, a module each, and what they share: arguments, sources, archives, shards."""
