"""KuaiRand: short videos with twelve feedback signals (Gao et al., CIKM 2022, arXiv:2208.10696).

Two layouts: the original logs, and the k-core table of rows with an explicit like or hate. The scenario is `tab` where
the log has it, else the band of the local hour. Play and comment times are outcomes and never features; follow and
forward are too rare to be tasks.
"""

from pathlib import Path

import polars as pl

from motet.data.files import RawTables, join_files, read_file, source_file
from motet.data.sources.reader import Reader, feature_lines, find, header, missing

FILES = (
    "log_standard_*.csv with user_features_*.csv and video_features_basic_*.csv (original), "
    "or processed_standard_kcore_*.tsv with user_features_*.csv (k-core)"
)
ORIGIN = "KuaiRand by Kuaishou and USTC, kuairand.com, CC BY-SA 4.0; the k-core table is MIT on top of that."
BANDS = ("night", "morning", "afternoon", "evening")
"""Hours 0–5, 6–11, 12–17, 18–23 of `hourmin` (1700 is 17:00)."""

USER_CATEGORIES = (
    "user_active_degree",
    "is_lowactive_period",
    "is_live_streamer",
    "is_video_author",
    "follow_user_num_range",
    "fans_user_num_range",
    "friend_user_num_range",
    "register_days_range",
    *(f"onehot_feat{number}" for number in range(18)),
)
USER_COUNTS = ("follow_user_num", "fans_user_num", "friend_user_num", "register_days")
VIDEO_CATEGORIES = ("author_id", "video_type", "upload_type", "music_type")
TASKS = (("click", "is_click"), ("long_view", "long_view"), ("profile_enter", "is_profile_enter"))
TASKS_LAST = (("comment", "is_comment"), ("like", "is_like"))


def read(folder: Path) -> RawTables:
    """The log with a `scenario` column, its users, and its videos with the first seen duration."""
    logs, user_files, video_files = _files(folder)
    log = join_files([(file, read_file(file)) for file in logs])
    if "is_like" not in log.columns:
        log = log.rename({"label": "is_like"})
    log = log.with_columns(_scenario(log))
    users = join_files([(file, read_file(file)) for file in user_files]).join(log, on="user_id", how="semi")
    in_order = log.sort("time_ms", maintain_order=True)
    items = in_order.group_by("video_id", maintain_order=True).agg(pl.col("duration_ms").first())
    if video_files:
        videos = join_files([(file, read_file(file)) for file in video_files])
        items = items.join(videos.unique("video_id", keep="last"), on="video_id", how="left", maintain_order="left")
    sources = tuple(source_file(file, folder) for file in [*logs, *user_files, *video_files])
    return RawTables(impressions=log, users=users, items=items, edges=None, files=sources)


def schema_toml(folder: Path) -> str:
    """Tasks click, long_view, profile_enter, comment and like; split by time 80/10/10."""
    logs, _, video_files = _files(folder)
    by_tab = "tab" in read_file(logs[0]).columns
    where = "the tab of the app" if by_tab else "the band of the local hour"
    comment = (
        f"KuaiRand; the scenario is {where}.\nPlay time, comment time, follow and forward are outcomes: no features."
    )
    parts = [header("kuairand", folder, comment), _COLUMNS, "" if by_tab else _scenarios()]
    parts += [f'[[tasks]]\nname = "{name}"\nlabel = "{label}"\n' for name, label in TASKS + TASKS_LAST]
    parts += ["[features.user]", feature_lines(USER_CATEGORIES, '"categorical"')]
    parts += [feature_lines(USER_COUNTS, '{ form = "numeric", transform = "log" }'), "\n[features.item]"]
    parts += ['duration_ms = { form = "numeric", transform = "log" }']
    if video_files:
        parts += [feature_lines(VIDEO_CATEGORIES, '"categorical"'), 'tag = { form = "tags", separator = "," }']
    return "\n".join([*parts, "", '[split]\nby = "time"\nvalid = 0.1\ntest = 0.1\n'])


def _files(folder: Path) -> tuple[list[Path], list[Path], list[Path]]:
    logs = find(folder, "log_standard_*.csv", "data/log_standard_*.csv", "processed_standard_kcore_*.tsv")
    users = find(folder, "user_features_*.csv", "data/user_features_*.csv")
    if not logs or not users:
        raise missing("kuairand", FILES, folder)
    return logs, users, find(folder, "video_features_basic_*.csv", "data/video_features_basic_*.csv")


def _scenario(log: pl.DataFrame) -> pl.Expr:
    if "tab" in log.columns:
        return pl.format("tab {}", "tab").alias("scenario")
    band = (pl.col("hourmin") // 100 // 6).cast(pl.Int64)
    return band.replace_strict(dict(enumerate(BANDS)), default=None, return_dtype=pl.String).alias("scenario")


def _scenarios() -> str:
    hours = ("hours 0 to 5", "hours 6 to 11", "hours 12 to 17", "hours 18 to 23")
    return "\n".join(
        f'[[scenarios]]\nname = "{band}"\ndescription = "short video feed of a phone app, {text}"\n'
        'input = "touch"\nscreen = "small"\n'
        for band, text in zip(BANDS, hours, strict=True)
    )


_COLUMNS = """[columns]
user = "user_id"
item = "video_id"
time = "time_ms"
scenario = "scenario"
"""

READER = Reader(name="kuairand", files=FILES, origin=ORIGIN, schema_toml=schema_toml, read=read)
