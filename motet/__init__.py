"""One recommender for all of a product's scenarios and all of its tasks."""

from motet.version import VERSION as __version__

__all__ = ["__version__"]
