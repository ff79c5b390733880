"""The shape of the workflow."""

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent


@cache
def code(module: str) -> list[str]:
    """The files of a module such as `stages.train` and of everything it imports from this package: editing one of them
    makes what the module has made out of date."""
    path = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    found = {str(Path("src") / path.relative_to(PACKAGE.parent))}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE.name):
            package = node.module.removeprefix(PACKAGE.name).removeprefix(".")
            for name in [package, *(f"{package}.{alias.name}" for alias in node.names)]:
                if PACKAGE.joinpath(*name.split(".")).with_suffix(".py").exists():
                    found.update(code(name))
    return sorted(found)
