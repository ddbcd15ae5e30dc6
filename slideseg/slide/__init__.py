"""Reading slides of every kind, box by box."""
