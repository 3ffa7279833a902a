"""One module a library: layers as it rounds them."""
