"""`motet init` on public data sets, where they lie beside the repository."""

import pytest
from sample_logs import SHARED, assert_runs, finding, schema_of, shared, split_of

from motet.data.infer import infer
from motet.errors import InputError


def test_kuairand_itself() -> None:
    files = shared("kuairand/processed_standard_kcore_15.tsv.gz", "kuairand/user_features_pure.csv.gz")
    found = infer(files, base=SHARED)
    schema = schema_of(found)
    assert (schema.columns.user, schema.columns.item, schema.columns.time) == ("user_id", "video_id", "time_ms")
    labels = {"is_click", "is_follow", "is_comment", "is_forward", "long_view", "is_profile_enter", "label"}
    assert {task.label for task in schema.tasks} == labels
    assert list(schema.features.of("context")) == ["hourmin"]
    assert "predicts long_view with AUC .97" in finding(found, "play_time_ms").why
    assert split_of(found) == "time"
    assert_runs(found, SHARED)


def test_movielens_itself() -> None:
    files = shared(*(f"ml100k/ml-100k.{part}.gz" for part in ("inter", "user", "item", "kg", "link")))
    found = infer(files, base=SHARED)
    schema = schema_of(found)
    assert [task.form for task in schema.tasks] == ["regression", "binary"]
    assert schema.tasks[1].positive_when == "`rating:float` >= 4"
    assert schema.features.of("item")["class:token_seq"].form == "tags"
    assert split_of(found) == "user_last"
    assert_runs(found, SHARED)


@pytest.mark.parametrize(
    ("name", "labels", "scenario"),
    [
        ("kuairand_sample", {"is_click"}, None),
        ("mind_sample", {"label"}, None),
        ("douban_sample", {"rating"}, "domain"),
        ("yidian_news_sampled", {"click"}, "deviceName"),
    ],
)
def test_samples_of_public_logs(name: str, labels: set[str], scenario: str | None) -> None:
    found = infer(shared(f"samples/{name}.csv.gz"), base=SHARED)
    assert {task.label for task in schema_of(found).tasks} == labels
    assert schema_of(found).columns.scenario == scenario
    assert_runs(found, SHARED)


@pytest.mark.parametrize("name", ["aliexpress_train_sample", "ali_ccp_train_sample", "census_income_train_sample"])
def test_samples_without_users_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="no user column found"):
        infer(shared(f"samples/{name}.csv.gz"), base=SHARED)
