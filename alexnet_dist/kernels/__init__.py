"""The response norm, alone and with the layers beside it: operators, kernels for CPU and GPU, and the formula."""
