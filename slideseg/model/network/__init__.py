"""The network: its form, how far it sees, what it costs, and how it runs."""
