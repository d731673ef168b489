"""Functions whose source has a decision put before every call: `decide(callee)(...)` for `callee(...)`."""

from __future__ import annotations
import __future__

import ast
import inspect
import linecache
import tokenize
from collections.abc import Callable, Sequence
from types import CodeType, FunctionType
from typing import Any, Final, NamedTuple

from neox_core.config.nodes.problems import NodeError

SCOPE: Final = "<scope>"
"""The function around a definition when it is compiled: its parameters are the variables that come from outside."""

DECISION: Final = f"{__name__}.Decision"
"""The constant that the decision is put in place of: code can hold any constant, and `locals()` does not see it."""


class Decision(NamedTuple):
    """What is made of the callee of each call."""

    decide: Callable[[Any], Any]


def rewritten(function: FunctionType, decide: Callable[[Any], Any]) -> FunctionType:
    """A function whose calls, and those of functions within it, are of what `decide` makes of the callee.

    It has the globals, defaults and closure variables of `function`, and its file and lines. Classes within stay as they are.

    Raises:
        NodeError: there is no source.
    """
    code = _with_decision(_compiled(_definition(function), function), Decision(decide))
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    closure = tuple(cells[name] for name in code.co_freevars)
    made = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _with_decision(code: CodeType, decision: Decision) -> CodeType:
    def replaced(constant: Any) -> Any:
        if isinstance(constant, CodeType):
            return _with_decision(constant, decision)
        return decision if constant == DECISION else constant

    return code.replace(co_consts=tuple(map(replaced, code.co_consts)))


def _definition(function: FunctionType) -> ast.FunctionDef:
    """The definition as it is written, with its lines and columns."""
    code = function.__code__
    lines = linecache.getlines(code.co_filename, function.__globals__)[code.co_firstlineno - 1 :]
    head = "if True:\n" if lines and lines[0][:1].isspace() else "\n"
    try:
        tree = ast.parse(head + "".join(inspect.getblock(lines)) if lines else "")
    except (SyntaxError, tokenize.TokenError):
        tree = ast.Module([], [])
    ast.increment_lineno(tree, code.co_firstlineno - 2)
    found = next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)), None)
    if found is None or found.name != code.co_name:
        raise NodeError(
            f"{function.__qualname__}: autoconvert needs its source, and {code.co_filename} does not have it at line "
            f"{code.co_firstlineno}; define it in a file, or write a function that returns Config(...)"
        )
    return found


class _Decided(ast.NodeTransformer):
    """Puts the decision before every call, but for those whose outcome is used at once: by `with`, `for` and `@`."""

    def __init__(self) -> None:
        self.used: set[ast.AST] = set()

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.withitem):
            self.used.add(node.context_expr)
        elif isinstance(node, ast.For | ast.comprehension):
            self.used.add(node.iter)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self.used.update(node.decorator_list)
        return super().visit(node)

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if node not in self.used:
            decide = ast.Attribute(ast.Constant(DECISION), "decide", ast.Load())
            node.func = ast.copy_location(ast.Call(decide, [node.func], []), node.func)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        return node


def _compiled(definition: ast.FunctionDef, function: FunctionType) -> CodeType:
    """The code of the function itself; what is evaluated when it is defined is not run again."""
    original = function.__code__
    for name in ("decorator_list", "type_params"):
        setattr(definition, name, [])
    definition.args.defaults, definition.args.kw_defaults = [], [None] * len(definition.args.kwonlyargs)
    body, names = _Decided().visit(definition), [original.co_name]
    owner = function.__qualname__.split(".")[-2:-1]
    if owner not in ([], ["<locals>"]):  # so that a name like `self.__x` means the same
        body, names = ast.ClassDef(owner[0], [], [], [body], []), [*owner, *names]
    scope = _scope(body, names[0], original.co_freevars)
    flags = original.co_flags & __future__.annotations.compiler_flag
    code = compile(ast.Module([scope], []), original.co_filename, "exec", flags=flags, dont_inherit=True)
    return _within(code, [SCOPE, *names]).replace(co_qualname=original.co_qualname)


def _scope(body: ast.stmt, name: str, variables: Sequence[str]) -> ast.FunctionDef:
    """A function that has a definition in it, which finds these variables there, and all others where it did before."""
    parameters = [ast.arg(variable) for variable in variables]
    arguments = ast.arguments(posonlyargs=[], args=parameters, kwonlyargs=[], kw_defaults=[], defaults=[])
    elsewhere = [] if name in variables else [ast.Global([name])]
    return ast.fix_missing_locations(ast.FunctionDef(SCOPE, arguments, [*elsewhere, body], []))


def _within(code: CodeType, names: Sequence[str]) -> CodeType:
    """The code of what is defined within a module, within what is defined there, and so on."""
    for name in names:
        code = next(item for item in code.co_consts if isinstance(item, CodeType) and item.co_name == name)
    return code
