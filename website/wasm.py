"""Chains of rules as WebAssembly, by the operands that compile them for the CPU: each rounds as there."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llvmlite import binding, ir

from gradstep.engine.cpu.llvm import FLOATS, I32, Operand
from gradstep.form.chain import run, terms
from gradstep.form.rule import Rule

LINKER = "wasm-ld"
REAL = FLOATS["float64"]
TRIPLE = "wasm32-unknown-unknown"


def can_link() -> bool:
    """Return whether the linker is here: Debian's and Ubuntu's package ``lld`` has it."""
    return shutil.which(LINKER) is not None


def compiled(chains: Mapping[str, Sequence[Rule]]) -> bytes:
    """Return the module of chains of rules by name, in which all numbers are float64.

    ``NAME(n, theta, g, *slots, scalars)`` makes one pass over arrays of ``n`` elements, which are given as addresses,
    and writes all of them; ``scalars`` is a table of the numbers of all rules, in their order. For the rule number k
    that sums over arrays, ``NAME_measure<k>(n, theta, g, *slots, scalars, *terms)`` writes what is to be summed: an
    array for each sum, from theta and g as the rules before leave them; slots and scalars end with its own.
    """
    module, names = ir.Module("rules"), list[str]()
    module.triple = TRIPLE
    for name, rules in chains.items():
        _apply(module, name, rules)
        names.append(name)
        for k, rule in enumerate(rules):
            if rule.measure:
                names.append(f"{name}_measure{k}")
                _measure(module, names[-1], rules[:k], rule)
    return _linked(_assembled(str(module)), names)


def _apply(module: ir.Module, name: str, rules: Sequence[Rule]) -> None:
    slots, count = sum(len(r.state) for r in rules), sum(len(r.numbers) for r in rules)

    def one(here: Sequence[Any], table: list[Operand]) -> list[Operand]:
        theta, g, *state = here
        row = _dealt(table, [r.numbers for r in rules])
        theta, g, after, _ = run(rules, theta, g, _dealt(state, [r.state for r in rules]), row)
        return [theta, g, *(x for own in after for x in own)]

    _loop(module, name, 2 + slots, count, 0, one)


def _measure(module: ir.Module, name: str, before: Sequence[Rule], rule: Rule) -> None:
    slots, numbers = [r.state for r in (*before, rule)], [*(r.numbers for r in before), rule.early_numbers]

    def one(here: Sequence[Any], table: list[Operand]) -> list[Operand]:
        theta, g, *rest = here
        state, row = _dealt(rest, slots), _dealt(table, numbers)
        theta, g, _, start = run(before, theta, g, state, row)
        return terms(rule, [start, theta, g, *state[-1]], row[-1], lambda x: x)

    _loop(module, name, 2 + sum(map(len, slots)), sum(map(len, numbers)), len(rule.measure), one)


def _dealt(values: Sequence[Any], names: Sequence[Sequence[str]]) -> list[list[Any]]:
    """Return values in rows, one for each name."""
    rest = iter(values)
    return [[next(rest) for _ in own] for own in names]


def _loop(
    module: ir.Module, name: str, arrays: int, count: int, results: int, one: Callable[..., list[Operand]]
) -> None:
    """Write ``name(n, *arrays, table, *results)``, whose body is ``one(elements, numbers)``.

    What that gives goes to the results where there are any, and else back to the arrays.
    """
    pointers = [REAL.as_pointer()] * (arrays + 1 + results)
    f = ir.Function(module, ir.FunctionType(ir.VoidType(), [I32, *pointers]), name)
    b = ir.IRBuilder(f.append_basic_block("entry"))
    n, places, table, out = f.args[0], f.args[1 : arrays + 1], f.args[arrays + 1], f.args[arrays + 2 :]
    numbers = [Operand(b, b.load(b.gep(table, [ir.Constant(I32, k)]))) for k in range(count)]
    entry, head, body, end = b.block, *(b.append_basic_block(x) for x in ("head", "body", "end"))
    b.branch(head)
    b.position_at_end(head)
    i = b.phi(I32)
    i.add_incoming(ir.Constant(I32, 0), entry)
    b.cbranch(b.icmp_signed("<", i, n), body, end)
    b.position_at_end(body)
    here = [b.gep(p, [i]) for p in places]
    found = one([Operand(b, b.load(p)) for p in here], numbers)
    for place, x in zip([b.gep(p, [i]) for p in out] or here, found, strict=True):
        b.store(x.value, place)
    i.add_incoming(b.add(i, ir.Constant(I32, 1)), b.block)
    b.branch(head)
    b.position_at_end(end)
    b.ret_void()


def _assembled(text: str) -> bytes:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple(TRIPLE).create_target_machine(opt=2)
    module = binding.parse_assembly(text)
    module.verify()
    passes = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(speed_level=1))
    passes.getModulePassManager().run(module, passes)
    return machine.emit_object(module)


def _linked(code: bytes, names: Sequence[str]) -> bytes:
    exports = [f"--export={name}" for name in names]
    with tempfile.TemporaryDirectory() as folder:
        made, out = Path(folder, "rules.o"), Path(folder, "rules.wasm")
        made.write_bytes(code)
        options = ["--no-entry", "--strip-all", "--initial-memory=131072", *exports]
        subprocess.run([LINKER, *options, made, "-o", out], check=True)  # noqa: S603 - what was written here
        return out.read_bytes()
