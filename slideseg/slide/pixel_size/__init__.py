"""How large a pixel is: every place where files say it, in order, and when they are not believed."""
