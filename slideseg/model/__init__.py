"""The network: architecture, receptive field, valid form, model file."""
