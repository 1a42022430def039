"""The inside of a network, found by running it: its layers, its attention, its operations."""
