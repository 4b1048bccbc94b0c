"""Computes until it is killed; prints an empty line first."""

print(flush=True)
while True:
    pass
