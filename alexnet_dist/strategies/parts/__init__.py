"""What several strategies or engines share: checks, costs, passes, state, and the towers of the split."""
