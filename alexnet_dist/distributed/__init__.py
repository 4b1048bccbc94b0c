"""Ranks and what connects them: bring-up, mesh, agreement, traffic, the network interface, a rank's share of a CPU."""
