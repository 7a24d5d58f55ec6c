"""Speed and size, measured; README.md keeps the results with the size of the machine."""
