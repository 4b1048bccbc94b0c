"""Which strategy is faster here, and is it still the same training? Starts runs and reads what they recorded."""
