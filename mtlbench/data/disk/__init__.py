"""Files on disk: readers, layouts and the cache."""
