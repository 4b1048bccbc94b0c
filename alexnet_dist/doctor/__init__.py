"""Says before a long job what would go wrong in it, and how fast the ranks reach each other."""
