"""AlexNet on one or many accelerators: one readable loop, and strategies that can be put under it."""

__version__ = "0.1.0"
