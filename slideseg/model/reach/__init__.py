"""How far a network sees: what decides whether, and how, it can be tiled."""
