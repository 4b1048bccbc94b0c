"""Computes until it is ended; prints an empty line first."""

print(flush=True)
while True:
    pass
