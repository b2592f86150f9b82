"""Which lines of the code decide who may pass, and what is left of a file without one of them?"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from tests.mutants.mutant import Mutant

# where everything is a judgement: each comparison, each refusal and each part of what is signed or bound
JUDGING = (
    "app/accounts/guards.py", "app/accounts/jwt.py", "app/accounts/passwords.py", "app/accounts/verify.py",
    "app/accounts/change_password.py", "app/accounts/sessions.py", "app/accounts/register.py", "app/accounts/repository.py",
    "app/accounts/controller.py", "app/tokens/authorization.py", "app/tokens/controller.py", "app/tokens/guard.py",
    "app/tokens/repository.py", "app/tokens/secret.py", "app/keys/encryption.py", "app/keys/vault.py", "app/keys/repository.py",
    "app/metrics/controller.py", "app/cursors.py", "app/web/guards.py", "app/web/sessions.py",
    "app/web/forms.py", "app/web/sign_in.py",
)  # fmt: skip
# where guards are named, and nothing else is judged
GUARDED = ("app/*/controller.py", "app/public/v1.py", "app/web/*.py")
OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
# what a page's forms are read by that asks for no form token
FORMS = {"frozen", "array_like"}  # of structs, which judge nothing
Node = TypeVar("Node", bound=ast.AST)
ANY_FORM = '__import__("app.web.forms", fromlist=["x"]).ANY_FORM'


def mutants(project: Path) -> Iterator[Mutant]:
    """Of all files that judge or guard."""
    guarded = {str(path.relative_to(project)) for pattern in GUARDED for path in project.glob(pattern)}
    for name in sorted({*guarded, *JUDGING}):
        source = (project / name).read_text(encoding="utf-8")
        yield from _Reader(name, source).mutants(is_judging=name in JUDGING)


class _Reader:
    """One file."""

    def __init__(self, name: str, source: str) -> None:
        self._name = name
        self._source = source
        self._tree = ast.parse(source)
        self._refused: set[ast.expr] = set()
        self._lines = [0]  # where each begins
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def mutants(self, *, is_judging: bool) -> Iterator[Mutant]:
        for node in ast.walk(self._tree):
            yield from self._without_guards(node)
            if is_judging:
                yield from self._judging_otherwise(node)

    def _without_guards(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Assign(targets=[ast.Name(id="guards")], value=ast.Tuple(elts=guards) as value):
                for guard in guards:
                    rest = ast.Tuple(_without(guard, guards), ast.Load())
                    yield self._mutant(value, rest, f"no guard {ast.unparse(guard)}")
            case ast.keyword(arg="guards", value=ast.List(elts=guards) as value):
                for guard in guards:
                    rest = ast.List(_without(guard, guards), ast.Load())
                    yield self._mutant(value, rest, f"no guard {ast.unparse(guard)}")
            case ast.Assign(targets=[ast.Name(id="dependencies")], value=ast.Name(id="OWN_FORM") as value):
                yield self._mutant(value, ANY_FORM, "forms without a token")
            case _:
                pass

    def _judging_otherwise(self, node: ast.AST) -> Iterator[Mutant]:
        yield from self._refusing_less(node)
        yield from self._comparing_otherwise(node)
        yield from self._with_other_options(node)
        if self._name.endswith("vault.py") and isinstance(node, ast.Return):
            yield from self._shorter_sums(node)

    def _refusing_less(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.If(test=test, body=[*_, ast.Raise()]):
                self._refused.add(test)  # turned around it would refuse whoever does right, which any test sees
                yield self._mutant(test, "False", f"if {ast.unparse(test)}, which never refuses")
            case ast.Expr(value=ast.Call(func=ast.Name(id=name)) | ast.Await(ast.Call(func=ast.Name(id=name)))):
                if name.startswith(("require", "check", "_require", "_check")):
                    yield self._mutant(node, "pass", f"{ast.unparse(node)}, left out")
            case _:
                pass

    def _comparing_otherwise(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Compare(ops=[op]) if type(op) in OPPOSITES and node not in self._refused:
                inverted = ast.Compare(node.left, [OPPOSITES[type(op)]()], node.comparators)
                yield self._mutant(node, inverted, f"{ast.unparse(node)}, inverted")
            case ast.BoolOp(values=[*_, ast.Constant() | ast.Tuple()]):
                pass  # a default
            case ast.BoolOp(values=values):
                for value in values:
                    rest = _without(value, values)
                    shorter = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
                    yield self._mutant(node, shorter, f"{ast.unparse(node)}, without {ast.unparse(value)}")
            case _:
                pass

    def _with_other_options(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.keyword(arg=str(name), value=ast.Constant(value=bool(value)) as constant) if name not in {
                "frozen",
                "array_like",
            }:
                yield self._mutant(constant, repr(not value), f"{name}={not value}")
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if key is not None and isinstance(value, ast.Constant) and isinstance(value.value, bool):
                        yield self._mutant(value, repr(not value.value), f"{ast.unparse(key)}: {not value.value}")
            case ast.Assign(targets=[ast.Name(id="_CLAIMS")], value=ast.List(elts=claims) as value):
                for claim in claims:
                    rest = ast.List(_without(claim, claims), ast.Load())
                    yield self._mutant(value, rest, f"claim {ast.unparse(claim)} not required")
            case ast.Call(func=ast.Attribute(attr="decode"), keywords=keywords):
                for keyword in keywords:
                    rest = ast.Call(node.func, node.args, _without(keyword, keywords))
                    yield self._mutant(node, rest, f"decoded without {keyword.arg}")
            case _:
                pass

    def _shorter_sums(self, node: ast.Return) -> Iterator[Mutant]:
        """What a record is bound to, without one part of it."""
        if not isinstance(node.value, ast.BinOp):
            return
        parts: list[ast.expr] = []
        rest: ast.expr = node.value
        while isinstance(rest, ast.BinOp):
            parts.append(rest.right)
            rest = rest.left
        parts.append(rest)
        for part in parts:
            shorter = " + ".join(ast.unparse(other) for other in reversed(parts) if other is not part)
            yield self._mutant(node.value, shorter, f"not bound to {ast.unparse(part)}")

    def _mutant(self, node: ast.expr | ast.stmt, replacement: ast.AST | str, what: str) -> Mutant:
        text = (
            replacement if isinstance(replacement, str) else f"({ast.unparse(ast.fix_missing_locations(replacement))})"
        )
        start = self._at(node.lineno, node.col_offset)
        end = self._at(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
        return Mutant(self._name, start, end, text, what)

    def _at(self, line: int, column: int) -> int:
        """Columns are counted in bytes."""
        text = self._source[self._lines[line - 1] :]
        return self._lines[line - 1] + len(text.encode()[:column].decode())


def _without(one: Node, nodes: Sequence[Node]) -> list[Node]:
    return [node for node in nodes if node is not one]
