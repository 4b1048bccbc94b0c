"""Is it the same training? Strategies against one process, tensor by tensor."""
