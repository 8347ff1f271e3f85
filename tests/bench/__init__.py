"""What scripts/bench.py measures: a module for each row of docs/performance.md, whose text is that module's own."""
