"""The typed experiment: what a user can set, and where the settings come from."""
