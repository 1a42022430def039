"""Side-by-side measurements against peers, run by hand: `python -m benchmarks.explain`."""
