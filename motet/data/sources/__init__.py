"""Named readers: one file and one line in `READERS` per public data set."""
