"""The response norm, by itself or merged with the layers next to it: operators, CPU and GPU kernels, the formula."""
