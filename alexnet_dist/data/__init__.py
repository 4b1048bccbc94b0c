"""Which samples, in which order, as which tensors."""
