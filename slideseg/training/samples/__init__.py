"""From windows to what goes through the network."""
