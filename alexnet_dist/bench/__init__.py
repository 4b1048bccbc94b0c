"""How fast it is: each case a ratio of two programs measured side by side on this machine."""
