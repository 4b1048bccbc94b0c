"""The response norm: its dispatch, and the CPU kernel with its build."""
