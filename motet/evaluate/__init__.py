"""The matrix of cells, ranking quality, and the report."""
