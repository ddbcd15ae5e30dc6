"""Which values a slide has, and which of them are black and white: to the eye, and to a model."""
