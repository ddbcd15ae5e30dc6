"""From the bytes of a tile or strip to pixels: what streams say of themselves, codecs, strips in rows, colours."""
