"""What the log's other columns are: known before the impression, attributes of a user or an item, or outcomes.

An outcome must not become a feature, so a number of an impression never does, and anything else only if its name says
that it is known beforehand or it says next to nothing about any label; in doubt it is written as a comment.
"""

from collections.abc import Sequence
from typing import Literal

from motet.data.arrays import Numbers
from motet.data.infer.choice import Choice, Log, left_out
from motet.data.infer.column import Column, depends_on, is_calendar, seconds
from motet.data.infer.features import form_of
from motet.data.infer.tasks import is_outcome_name
from motet.data.infer.words import KNOWN_BEFORE, PAST, SPENT, TIME, any_means
from motet.data.leak import SUSPICIOUS
from motet.data.outcomes import telling
from motet.schema import FeatureForm

_CLEAN_AUC = 0.7  # below: harmless even if its name says nothing
_MOST_VALUES = 10_000
_ROLE = "context feature"


def find_context(log: Log, free: Sequence[Column], labels: dict[str, Numbers]) -> list[Choice]:
    """One line per column that is neither role nor label; `labels` holds the binary tasks' 0, 1 and NaN."""
    return [_judge(log, column, labels) for column in free]


def _judge(log: Log, column: Column, labels: dict[str, Numbers]) -> Choice:
    if why := _nothing(column) or _another_time(log, column):
        return left_out(_ROLE, column.name, why, warning=False)
    form: FeatureForm = "numeric" if column.sort == "number" or _is_amount(column) else "categorical"
    if depends_on(log.table.frame, log.item, column.name):
        return _attribute(column, "item")
    if depends_on(log.table.frame, log.user, column.name):
        return _user_attribute(column)
    if column.sort in {"list", "moment"} or (column.sort == "text" and column.distinct > _most(column)):
        return left_out(_ROLE, column.name, "long or many values of single impressions", warning=False)
    task, auc = _best_told(log, column, form, labels)
    told = f"predicts {task} with AUC {_short(auc)}" if task else "no label to check it against"
    if auc > SUSPICIOUS:
        return left_out("outcome", column.name, f"{told}: an outcome, known only afterwards", value=form)
    if form == "numeric" or is_outcome_name(column):
        why = f"{told}; {'a number' if form == 'numeric' else 'its name speaks'} of what happened: likely an outcome"
        return left_out("outcome", column.name, why, value=form)
    return _categorical(log, column, told, auc)


def _categorical(log: Log, column: Column, told: str, auc: float) -> Choice:
    if log.request and not depends_on(log.table.frame, log.request, column.name):
        why = "differs within a request, so it belongs to the item shown, not to the context"
        return left_out(_ROLE, column.name, why, value="categorical")
    values = f"{column.distinct:,} values"
    if any_means(column.words, KNOWN_BEFORE | PAST):
        why = f"its name says that it is known before; {values}; {told}"
        return Choice(role=_ROLE, column=column.name, key=column.name, value="categorical", why=why)
    if column.sort == "whole":
        why = f"{told}; a number of unknown meaning: uncomment it if it is known before the impression"
        return left_out(_ROLE, column.name, why, value="categorical")
    if auc < _CLEAN_AUC:
        why = f"{values}; {told}: please confirm that it is known before the impression"
        return Choice(role=_ROLE, column=column.name, key=column.name, value="categorical", why=why, warning=True)
    why = f"{told}: uncomment it if it is known before the impression"
    return left_out(_ROLE, column.name, why, value="categorical")


def _user_attribute(column: Column) -> Choice:
    """A user's category may stand in the context; a user's number may be a total over the log, so it does not."""
    if column.sort == "list" or form_of(column)[0] != "categorical" or column.distinct > _MOST_VALUES:
        return _attribute(column, "user")
    why = f"the same for every row of a user: {column.distinct:,} values; a users table is the better place"
    return Choice(role=_ROLE, column=column.name, key=column.name, value="categorical", why=why)


def _attribute(column: Column, owner: Literal["user", "item"]) -> Choice:
    form, _ = form_of(column)
    why = f"the same in all rows of one {owner}: an attribute; put it into a table of {owner}s to use it"
    return Choice(
        role=f"{owner} attribute", column=column.name, key=column.name, value=form or "…", why=why, active=False
    )


def _nothing(column: Column) -> str | None:
    if column.sort == "other":
        return "no value" if column.filled == 0 else f"{column.values.dtype} is no form of a feature"
    if column.is_constant:
        return "one value only"
    return "nearly every row has its own value: an id of rows" if _is_row_id(column) else None


def _is_row_id(column: Column) -> bool:
    """Text, or numbers that count up or have no name; other numbers may differ because they measure something."""
    if not column.is_key_like:
        return False
    return column.sort == "text" or not column.words or bool((column.values.drop_nulls().diff() == 1).all())


def _another_time(log: Log, column: Column) -> str | None:
    if not any_means(column.words, TIME) and column.sort != "moment":
        return None
    if any_means(column.words, SPENT) or (seconds(column) is None and not is_calendar(column)):
        return None
    used = f"{log.time} is used" if log.time else "name it in [columns] time if rows are in its order"
    return f"another form of the time: {used}, and hour and weekday come from it"


def _is_amount(column: Column) -> bool:
    """Whole numbers that measure: many of them, or named after what is spent."""
    named = any_means(column.words, KNOWN_BEFORE) and not any_means(column.words, SPENT)
    return column.sort == "whole" and not named and (column.distinct > 50 or any_means(column.words, SPENT))


def _most(column: Column) -> float:
    return min(_MOST_VALUES, max(20.0, 0.5 * column.filled))


def _best_told(log: Log, column: Column, form: FeatureForm, labels: dict[str, Numbers]) -> tuple[str, float]:
    """The label that the column alone predicts best."""
    told = [(telling(log.table.frame, column.name, form, values), task) for task, values in labels.items()]
    auc, task = max(told, default=(0.5, ""))
    return task, max(auc, 0.5)


def _short(auc: float) -> str:
    return f"{auc:.2f}".removeprefix("0")
