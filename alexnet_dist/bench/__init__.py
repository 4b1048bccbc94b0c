"""How fast this program is: each benchmark is a ratio of two programs, measured side by side on this machine."""
