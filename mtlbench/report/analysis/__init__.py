"""Numbers over runs: means, intervals, tests, ranks."""
