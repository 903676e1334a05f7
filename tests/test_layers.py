"""Imports only point down: the layers of the package, read from its syntax trees, imports inside functions included."""

import ast
from pathlib import Path

import pytest

import motet

ROOT = Path(motet.__file__).parent
LAYERS = (
    ("__main__",),
    ("cli",),
    ("demo", "doctor"),
    ("terminal",),
    ("api",),
    ("tune",),
    ("experiment",),
    ("serve",),
    ("evaluate",),
    ("train",),
    ("model",),
    ("baselines",),
    ("semantics",),
    ("data",),
    ("scoring",),
    ("batch",),
    ("schema",),
    ("condition",),
    ("runtime", "settings", "frames"),
    ("errors", "version"),
)
LEVEL = {name: len(LAYERS) - place for place, names in enumerate(LAYERS) for name in names}
STRANGERS = {("model", "semantics"), ("model", "data")}


def module_name(path: Path, root: Path = ROOT) -> str:
    """`motet/data/split.py` is `motet.data.split`; a package is its folder."""
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, module: str, known: set[str]) -> set[str]:
    """The modules of the package that `source` imports, at any depth of the tree, also under `if TYPE_CHECKING`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: write the whole path instead of a relative import"
            base = str(node.module)
            found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names}
    return {name for name in found if name.split(".")[0] == "motet"} - {module}


def graph() -> dict[str, set[str]]:
    paths = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}
    return {name: imports(path.read_text(encoding="utf-8"), name, set(paths)) for name, path in paths.items()}


def layer(module: str) -> str | None:
    """The top folder or file below the package; the package itself, which only re-exports, is in no layer."""
    return module.split(".")[1] if "." in module else None


def upward(edges: dict[str, set[str]]) -> list[str]:
    wrong = []
    for module, targets in edges.items():
        for target in targets:
            above, below = layer(module), layer(target)
            if above is None or above == below:
                continue
            if below is None or (above, below) in STRANGERS or LEVEL[above] <= LEVEL[below]:
                wrong.append(f"{module} imports {target}")
    return wrong


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Modules that are left when those without an unresolved import are taken away again and again."""
    left = {module: {target for target in targets if target in edges} for module, targets in edges.items()}
    while free := [module for module, targets in left.items() if not targets & left.keys()]:
        for module in free:
            del left[module]
    return sorted(left)


def test_every_module_stands_in_a_layer() -> None:
    strangers = {name for name in graph() if layer(name) is not None and layer(name) not in LEVEL}
    assert not strangers, f"not in DESIGN's folders: {sorted(strangers)}"


def test_imports_only_point_down() -> None:
    assert not upward(graph())


def test_there_is_no_circle() -> None:
    assert not circle(graph())


def test_the_walk_sees_the_imports_that_are_there() -> None:
    assert {"motet.condition", "motet.errors", "motet.settings"} <= graph()["motet.schema"]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("motet.data.split", "import motet.model.ranker"),
        ("motet.data.split", "def f():\n    from motet.train import loop"),
        ("motet.model.ranker", "from motet.data import split"),
        ("motet.model.ranker", "from motet import semantics"),
        ("motet.errors", "from motet.runtime import threads"),
        ("motet.schema", "import motet"),
    ],
)
def test_an_import_that_points_up_or_sideways_is_caught(module: str, source: str) -> None:
    known = {"motet.semantics", "motet.data.split"}
    assert upward({module: imports(source, module, known)})


def test_a_circle_is_caught_wherever_it_hides() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]
