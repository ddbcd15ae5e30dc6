"""The table of objects as the page uses it: single rows, columns, pages, filters, colours, regions."""
