import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motet.data.coded import Coded
from motet.data.features import CLOCK, clock_numbers, fit_features
from motet.data.numbers import Buckets, Number
from motet.data.rows import FitRows
from motet.data.tags import Tags
from motet.data.transforms import load_features, save_features
from motet.errors import InputError
from motet.schema import Feature, Schema
from motet.settings import parse


def schema(**features) -> Schema:
    tables, columns = {"impressions": "i"}, {"user": "u", "item": "i", "time": "t", "scenario": "s", "kind": "k"}
    return parse(
        Schema,
        {"tables": tables, "columns": columns, "tasks": [{"name": "c", "label": "c"}], "features": features},
    )


def everything(**features):
    users = pl.DataFrame({"u": ["a", "b", "c"], "age": [1.0, None, 3.0], "city": ["x", "x", "y"]})
    items = pl.DataFrame({"i": ["p", "q"], "k": ["goods", "content"], "tags": [["red", "new"], ["red"]]})
    rows = pl.DataFrame({"s": ["mobile", "voice", "mobile"], "hour": [1, 2, 2], CLOCK: [0.0, 21_600.0, 86_400.0]})
    return fit_features(
        schema(**features),
        FitRows(users, np.array([3.0, 2.0, 0.0])),
        FitRows(items, np.array([2.0, 3.0])),
        FitRows(rows, np.array([1.0, 1.0, 0.0])),
        scenarios=2,
        kinds=2,
    ), (users, items, rows)


ALL = {
    "user": {"age": "numeric", "city": "categorical"},
    "item": {"tags": {"form": "tags", "min_count": 1}},
    "context": {"hour": {"form": "categorical", "min_count": 1}},
}


def test_fields_tile_the_embedding_table_behind_padding():
    features, _ = everything(**ALL)
    names = [(field.owner, field.name) for field in features.fields]
    assert names == [
        ("user", "u"), ("user", "city"), ("item", "i"), ("item", "kind"), ("item", "tags"),
        ("context", "scenario"), ("context", "hour"),
    ]  # fmt: skip
    at = 1
    for field in features.fields:
        assert field.offset == at
        at += field.size
    assert at == features.table_rows


def test_ids_are_rows_of_their_field_and_unseen_ones_its_first():
    features, (users, items, rows) = everything(**ALL)
    owners = {"user": features.user.table(users), "item": features.item.table(items)}
    owners["context"] = features.context.apply(rows)
    for owner, packed in owners.items():
        column = 0
        for field in [f for f in features.fields if f.owner == owner]:
            ids = packed.ids_RK[:, column : column + field.columns]
            assert ((ids == 0) | ((ids >= field.offset) & (ids < field.offset + field.size))).all()
            column += field.columns
    u, city = features.fields[:2]
    assert owners["user"].ids_RK[:, :2].tolist() == [
        [0, 0], [u.offset, city.offset], [u.offset + 1, city.offset + 1], [u.offset + 2, city.offset + 1],
        [u.offset, city.offset],
    ]  # fmt: skip


def test_the_unknown_row_is_missing_everywhere():
    features, (users, _, _) = everything(**ALL)
    assert features.user.number_names == ("age", "age missing")
    assert features.user.table(users).numbers_RN.tolist()[:2] == [[0, 0], [0, 1]]
    assert features.user.table(users).numbers_RN[3].tolist() == [0, 1]


def test_saved_transforms_give_the_very_same_bytes(tmp_path):
    bucketed = {"user": {"age": {"form": "numeric", "buckets": 3}, "city": "categorical"}, "item": ALL["item"]}
    for given_ in (ALL, bucketed, {"user": {"age": {"form": "numeric", "transform": "quantile"}}}):
        features, frames = everything(**given_)
        plain = json.loads(json.dumps(save_features(features, tmp_path), allow_nan=False))
        again = load_features(plain, tmp_path)
        assert again.fields == features.fields
        for owner, frame in zip(("user", "item", "context"), frames, strict=True):
            first, second = getattr(features, owner).apply(frame), getattr(again, owner).apply(frame)
            assert first.ids_RK.tobytes() == second.ids_RK.tobytes()
            assert first.numbers_RN.tobytes() == second.numbers_RN.tobytes()


def test_columns_that_a_request_lacks_are_missing():
    features, _ = everything(**ALL)
    packed = features.context.apply(pl.DataFrame({CLOCK: [0.0]}))
    assert packed.ids_RK.tolist() == [[field.offset for field in features.context.fields]]


def test_midnight_of_a_thursday_and_six_in_the_morning():
    angles = clock_numbers(np.array([0.0, 21_600.0, math.nan]))
    np.testing.assert_allclose(angles[0], [0, 1, 0, 1], atol=1e-6)
    np.testing.assert_allclose(angles[1][:2], [1, 0], atol=1e-6)
    assert angles[2].tolist() == [0, 0, 0, 0]


def number(values, *, winsorise=0.0, missing=False, **feature) -> Number:
    given_ = Feature(form="numeric", **feature)
    return Number.fit("x", given_, np.array(values, float), missing=missing, winsorise=winsorise)


def test_standardised_numbers_have_train_mean_0_and_std_1():
    fitted = number([1.0, 2.0, 3.0, math.nan], missing=True)
    z = fitted.apply(pl.DataFrame({"x": [1.0, 2.0, 3.0, None]}))
    np.testing.assert_allclose(z, [[-math.sqrt(1.5), 0], [0, 0], [math.sqrt(1.5), 0], [0, 1]], rtol=1e-6)


def test_auto_logs_what_is_skewed_and_not_negative():
    assert number([0.0, 1.0, 1.0, 2.0, 1000.0]).log
    assert not number([-1.0, 1.0, 1.0, 2.0, 1000.0]).log
    assert not number([1.0, 2.0, 3.0]).log
    assert not number([0.0, 1.0, 1.0, 2.0, 1000.0], transform="standard").log


def test_quantile_makes_ranks_that_do_not_depend_on_scale():
    values = np.array([1.0, 2.0, 3.0, 1e6])
    first = number(values, transform="quantile").apply(pl.DataFrame({"x": values}))
    second = number(np.log(values), transform="quantile").apply(pl.DataFrame({"x": np.log(values)}))
    np.testing.assert_allclose(first, second, atol=1e-5)
    assert (np.diff(first[:, 0]) > 0).all()


def test_winsorising_holds_values_at_train_quantiles():
    fitted = number(np.arange(101.0), winsorise=0.1)
    z = fitted.apply(pl.DataFrame({"x": [90.0, 1e9, 10.0, -1e9]}))[:, 0]
    assert z[0] == z[1]
    assert z[2] == z[3]


def test_an_outlier_is_cut_at_eight_standard_deviations():
    assert number([1.0, 2.0, 3.0]).apply(pl.DataFrame({"x": [1e30]}))[0, 0] == 8


@given(st.lists(st.one_of(st.none(), st.floats(width=32)), max_size=20), st.sampled_from(["auto", "log", "quantile"]))
def test_any_column_gives_finite_numbers(values, transform):
    frame = pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64)})
    train = np.array([math.nan if v is None or not math.isfinite(v) else v for v in values], float)
    fitted = Number.fit("x", Feature(form="numeric", transform=transform), train, missing=True, winsorise=0.0)
    assert np.isfinite(fitted.apply(frame)).all()


def test_text_in_a_numeric_column_is_named():
    with pytest.raises(InputError, match="'old'"):
        number([1.0]).apply(pl.DataFrame({"x": ["1", "old"]}))


def test_buckets_are_train_quantiles_and_missing_is_unknown():
    fitted = Buckets.fit("x", Feature(form="numeric", buckets=4), np.arange(8.0))
    assert fitted.size == 5
    ids = fitted.indices(pl.DataFrame({"x": [0.0, 2.0, 4.0, 7.0, 99.0, None]}))[:, 0]
    assert ids.tolist() == [2, 3, 4, 5, 5, 1]


def tags(values, **feature) -> Tags:
    frame = pl.DataFrame({"x": values})
    return Tags.fit("x", Feature(form="tags", **({"min_count": 1} | feature)), FitRows(frame, np.ones(len(values))))


def test_tags_are_cut_at_the_separator_found_and_kept_once_in_order():
    fitted = tags(["a b|c", "c|c| a b ", None, ""])
    assert fitted.separator == "|"
    ab, c = fitted.vocab.indices(Coded.of(pl.Series(["a b", "c"]))).tolist()
    assert fitted.indices(pl.DataFrame({"x": ["a b|c", "c|c| a b ", None, "", "new", "new|c"]})).tolist() == [
        [ab, c], [c, ab], [0, 0], [0, 0], [1, 0], [c, 0]
    ]  # fmt: skip


def test_list_columns_are_bags_too_and_wide_ones_are_capped():
    fitted = tags([[str(t) for t in range(100)]] * 5)
    assert fitted.width == 24
    assert (fitted.indices(pl.DataFrame({"x": [[str(t) for t in range(100)]]})) >= 2).all()


def test_rare_tags_are_unknown():
    fitted = tags(["a|b", "a|c"], min_count=2)
    assert fitted.indices(pl.DataFrame({"x": ["b|a", "c"]})).tolist() == [[2, 0], [1, 0]]


def test_a_list_column_cannot_be_categorical():
    with pytest.raises(InputError, match="holds lists"):
        everything(item={"tags": "categorical"})


def test_an_absent_column_is_named_with_the_nearest():
    with pytest.raises(InputError, match=r"no column 'citi'.*\n.*'city'"):
        everything(user={"citi": "categorical"})


def test_nothing_is_fitted_on_rows_that_train_does_not_use():
    features, _ = everything(**ALL)
    assert features.user.ids[0].vocab.keys.to_list() == ["a", "b"]
    assert features.user.numbers[0].mean == 1.0
