"""From a class map to objects and their table."""
