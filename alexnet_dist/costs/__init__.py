"""What a training step costs, predicted: operations, bytes sent, bytes held.

Pure functions of values (a layer table, numbers of ranks, dtypes' sizes, settings). None knows a process group; what a
running strategy sends and holds is counted elsewhere and compared with these.
"""
