"""What a step costs beside its arithmetic, by number of ranks: counted on one rank of a simulated world."""
