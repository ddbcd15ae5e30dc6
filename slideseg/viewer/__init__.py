"""A result in the browser: tiles of its layers, a small server on this machine, and the page that shows them."""
