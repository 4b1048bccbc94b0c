"""What is trained: layer tables, and the one-device module that follows from one."""
