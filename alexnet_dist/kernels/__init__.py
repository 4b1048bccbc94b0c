"""The response norm, alone and with what stands beside it: operators, kernels for CPU and GPU, the formula they are held
against."""
