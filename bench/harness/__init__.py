"""The harness of the benchmarks: what is measured, against what, how, and how it is shown."""
