"""The condition grammar: `rating is not null and (clicked = 1 or surface in ("voice", "mobile"))`.

    condition  = conjunction { "or" conjunction }
    conjunction = term { "and" term }
    term       = "not" term | "(" condition ")" | column comparison
    comparison = ("=" | "!=" | "<" | "<=" | ">" | ">=") value | "is" ["not"] "null"
               | ["not"] "in" "(" value {"," value} ")"
    value      = number | "text" | 'text' | true | false

Column names that are no plain word stand in backticks. A comparison with null is false. Whole numbers stay exact, as
ids need. Used for `observed_when` in the schema and for filters when serving, so what strangers send is bounded.
"""

import math
import re
from dataclasses import dataclass

from motet.errors import InputError

Value = str | float | bool


@dataclass(frozen=True, slots=True)
class Compare:
    """`column operator value`; operator is one of = != < <= > >=."""

    column: str
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class IsNull:
    column: str


@dataclass(frozen=True, slots=True)
class IsIn:
    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Not:
    term: "Condition"


@dataclass(frozen=True, slots=True)
class Both:
    left: "Condition"
    right: "Condition"


@dataclass(frozen=True, slots=True)
class Either:
    left: "Condition"
    right: "Condition"


Condition = Compare | IsNull | IsIn | Not | Both | Either

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w])|(?P<text>"[^"]*"|'[^']*')|`(?P<quoted>[^`]+)`
    |(?P<word>[^\W\d]\w*)|(?P<sign><=|>=|!=|==|[=<>(),]))""",
    re.VERBOSE,
)
MOST_PARTS = 200  # `and`, `or`, `not` and `(`: whoever walks the tree may recurse
_PARTS = {"and", "or", "not", "("}
_KEYWORDS = {"and", "or", "not", "is", "null", "in", "true", "false"}


@dataclass(frozen=True, slots=True)
class _Token:
    sort: str  # number, text, name, keyword, sign, end
    text: str
    position: int


def parse_condition(text: str) -> Condition:
    """The tree of a condition; an `InputError` shows the position of what does not fit."""
    parser = _Parser(text)
    condition = parser.either()
    if parser.token.sort != "end":
        raise parser.error("the condition should end here, or go on with `and` or `or`")
    return condition


def columns_of(condition: Condition) -> set[str]:
    """The columns a condition reads."""
    match condition:
        case Compare(column) | IsNull(column) | IsIn(column):
            return {column}
        case Not(term):
            return columns_of(term)
        case Both(left, right) | Either(left, right):
            return columns_of(left) | columns_of(right)


def _tokens(text: str) -> list[_Token]:
    tokens, position = [], 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None:
            start = position + len(text[position:]) - len(text[position:].lstrip())
            raise _error(text, start, "no part of a condition starts with this character")
        sort = str(found.lastgroup)
        word = found.group(sort)
        if sort == "word":
            sort = "keyword" if word.lower() in _KEYWORDS else "name"
            word = word.lower() if sort == "keyword" else word
        tokens.append(_Token("name" if sort == "quoted" else sort, word, found.start(found.lastgroup or 0)))
        position = found.end()
    return [*tokens, _Token("end", "", len(text))]


def _error(text: str, position: int, message: str) -> InputError:
    return InputError(
        f"condition does not parse at position {position + 1}: {message}\n  {text}\n  {' ' * position}^",
        fix="an example that parses: `rating is not null and clicked = 1`",
    )


class _Parser:
    """Recursive descent, one method per rule of the grammar above."""

    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.at = text, _tokens(text), 0
        parts = [token for token in self.tokens if token.sort in {"keyword", "sign"} and token.text in _PARTS]
        if len(parts) > MOST_PARTS:
            raise _error(text, parts[MOST_PARTS].position, f"more than {MOST_PARTS} of `and`, `or`, `not` and `(`")

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def error(self, message: str) -> InputError:
        return _error(self.text, self.token.position, message)

    def take(self, *texts: str) -> bool:
        if self.token.sort in {"keyword", "sign"} and self.token.text in texts:
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise self.error(f"expected `{text}`")

    def either(self) -> Condition:
        left = self.both()
        while self.take("or"):
            left = Either(left, self.both())
        return left

    def both(self) -> Condition:
        left = self.term()
        while self.take("and"):
            left = Both(left, self.term())
        return left

    def term(self) -> Condition:
        if self.take("not"):
            return Not(self.term())
        if self.take("("):
            inside = self.either()
            self.expect(")")
            return inside
        return self.comparison()

    def comparison(self) -> Condition:
        if self.token.sort != "name":
            raise self.error("expected a column name")
        column = self.token.text
        self.at += 1
        if self.take("is"):
            negated = self.take("not")
            self.expect("null")
            return Not(IsNull(column)) if negated else IsNull(column)
        if (negated := self.take("not")) or self.token.text == "in":
            self.expect("in")
            found = IsIn(column, self.values())
            return Not(found) if negated else found
        operator = self.token.text
        if not self.take("=", "==", "!=", "<", "<=", ">", ">="):
            raise self.error("expected =, !=, <, <=, >, >=, `is null` or `in (…)`")
        return Compare(column, "=" if operator == "==" else operator, self.value())

    def values(self) -> tuple[Value, ...]:
        self.expect("(")
        values = [self.value()]
        while self.take(","):
            values.append(self.value())
        self.expect(")")
        return tuple(values)

    def value(self) -> Value:
        token = self.token
        self.at += 1
        if token.sort == "number" and math.isfinite(number := float(token.text)):
            return int(token.text) if re.fullmatch(r"-?\d+", token.text) else number
        if token.sort == "text":
            return token.text[1:-1]
        if token.text in {"true", "false"} and token.sort == "keyword":
            return token.text == "true"
        self.at -= 1
        raise self.error('expected a number, "text", true or false')
