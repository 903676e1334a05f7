"""One recommender for all of a product's scenarios and all of its tasks."""

__version__ = "0.1.0"
