"""Starts ranks and reports how they ended. Knows nothing about what they compute.

launch_line: the command line that starts ranks. accelerate_launch: the program that this line runs. processes: starts
ranks and waits for them. supervisor: of `alexnet-dist launch`, which passes signals on and restarts; it and the ranks
communicate through control_folder. environment, slurm: what the environment says about launchers. exit_status: how a
rank ends.
"""
