"""Who is where: ranks, axes, groups; who owns which random number; what was sent."""
