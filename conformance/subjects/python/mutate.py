"""Changes this implementation in one place at a time, and tells which changes neither its tests nor the suite notice:

    python3 mutate.py --suite ../../../target/release/conformance [--mutants 50] [--seed 1]

Vectors and conversations are tried first, since they take seconds; what they let pass is judged by the suite, as a server with the
numbers of manifest.toml, and what that lets pass behind its adapter, which takes minutes. Exit code 1 where less than 95 % of the
mutants are caught. Mutants that behave the same are not counted: EQUIVALENT names them, each with its reason.
"""

import argparse
import ast
import copy
import difflib
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE.parents[2] / "spec" / "vectors"
MODULES = ["pulsewire.py", "receiver.py", "sender.py", "heartbeat.py", "connection.py"]
TESTS = ["test_vectors", "test_conversations", "test_timing"]
NUMBERS = ["--idle", "600", "--interval", "300", "--assembly-base", "6000", "--handshake-timeout", "1000", "--close-timeout", "1000",
           "--busy-max", "4000", "--write-stall", "4000", "--message-limit", "1048576"]

# Exit codes of the tool: all is well; nothing can be said, since the machine is busy.
UNNOTICED = (0, 3)

# Mutants that no peer can tell from the original, as `module: line -> changed line`, each with the reason.
EQUIVALENT = {
    "pulsewire.py: super().__init__(reason) -> pass": "The text of an exception, of which only the attributes are read.",
}

COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
               ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr,
             ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift}
SWAPPED_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


def changed(node):
    """What could stand in place of this node: the same kind of thing, with one fault."""
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in COMPARISONS:
            yield replaced(node, ops=[COMPARISONS[type(operator)]()])
        case ast.BoolOp(op=operator):
            yield replaced(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.BinOp(op=operator) | ast.AugAssign(op=operator) if type(operator) in OPERATORS:
            yield replaced(node, op=OPERATORS[type(operator)]())
        case ast.Constant(value=bool(value)):
            yield replaced(node, value=not value)
        case ast.Constant(value=int(value)):
            yield replaced(node, value=value + 1)
        case ast.Call(func=ast.Name(id=name)) if name in SWAPPED_CALLS:
            yield replaced(node, func=ast.Name(SWAPPED_CALLS[name], ast.Load()))
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Assign(targets=[ast.Attribute()]):
            yield ast.Pass()


def replaced(node, **fields):
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return ast.copy_location(other, node)


def mutants(module):
    """The source of each mutant of a module, as `ast` prints it."""
    tree = ast.parse((HERE / module).read_text())
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            places = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
            for index, child in places:
                for other in changed(child) if isinstance(child, ast.AST) else ():
                    put(parent, field, index, other)
                    yield ast.unparse(ast.fix_missing_locations(tree))
                    put(parent, field, index, child)


def put(parent, field, index, node):
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def difference(module, source):
    """The changed lines."""
    original = ast.unparse(ast.parse((HERE / module).read_text()))
    lines = difflib.unified_diff(original.splitlines(), source.splitlines(), lineterm="", n=0)
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def caught_by(module, source, suite):
    """What notices the mutant; None where nothing does."""
    with tempfile.TemporaryDirectory() as folder:
        subject = pathlib.Path(folder) / "conformance" / "subjects" / "python"
        shutil.copytree(HERE, subject, ignore=shutil.ignore_patterns("__pycache__"))
        (pathlib.Path(folder) / "spec").mkdir()
        (pathlib.Path(folder) / "spec" / "vectors").symlink_to(VECTORS)
        (subject / module).write_text(source)
        try:
            tests = subprocess.run([sys.executable, "-m", "unittest", "--quiet", "--failfast", *TESTS], cwd=subject, timeout=300,
                                   capture_output=True)
        except subprocess.TimeoutExpired:
            return "vectors (no end)"
        return "vectors" if tests.returncode else caught_as_server(subject, suite) or caught_behind_adapter(subject, suite)


def caught_as_server(subject, suite):
    server = subprocess.Popen([sys.executable, "echo_server.py", *NUMBERS, "--listen", "127.0.0.1:0"], cwd=subject,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        address = server.stdout.readline().partition("listening on ")[2].split()
        if not address:
            return "suite (no server)"
        command = [suite, "server", address[0].rstrip(":,;"), "--jobs", "8", "--chunking", "whole", "--manifest", "manifest.toml"]
        return "suite" if subprocess.run(command, cwd=subject, capture_output=True).returncode not in UNNOTICED else None
    finally:
        server.kill()
        server.wait()


def caught_behind_adapter(subject, suite):
    command = [suite, "adapter", f"{sys.executable} adapter.py", "--jobs", "8", "--chunking", "whole"]
    return "suite (adapter)" if subprocess.run(command, cwd=subject, capture_output=True).returncode not in UNNOTICED else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", required=True, type=lambda path: str(pathlib.Path(path).resolve()), help="the tool conformance")
    parser.add_argument("--mutants", type=int, default=50, help="how many of all possible ones (default 50)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (default 1)")
    options = parser.parse_args()
    every = [(module, source) for module in MODULES for source in mutants(module)]
    drawn = random.Random(options.seed).sample(every, min(options.mutants, len(every)))
    print(f"{len(drawn)} of {len(every)} mutants, seed {options.seed}", flush=True)
    caught = equivalent = 0
    for number, (module, source) in enumerate(drawn, 1):
        lines = difference(module, source)
        if f"{module}: {lines[0][1:].strip()} -> {lines[-1][1:].strip()}" in EQUIVALENT:
            equivalent, verdict = equivalent + 1, "behaves the same"
        else:
            verdict = caught_by(module, source, options.suite)
            caught, verdict = caught + bool(verdict), verdict or "NOT CAUGHT"
        print(f"{number}: {verdict}: {module}: " + " ".join(" ".join(lines).split())[:160], flush=True)
    viable = len(drawn) - equivalent
    print(f"{caught} of {viable} caught ({100 * caught / max(viable, 1):.0f} %), {equivalent} behave the same")
    sys.exit(caught < 0.95 * viable)


if __name__ == "__main__":
    main()
