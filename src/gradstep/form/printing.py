"""Expressions as Unicode text and as LaTeX: two alphabets over one walk."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

# The field's letters for what every rule means alike; a rule's ``symbols=`` has its own, and comes first.
LETTERS: Mapping[str, str] = {
    "lr": r"\eta",
    "eps": r"\epsilon",
    "weight_decay": r"\lambda",
    "momentum": r"\mu",
}
GREEK: Mapping[str, str] = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "eta": "η", "theta": "θ", "lambda": "λ",
    "mu": "μ", "nu": "ν", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "psi": "ψ", "omega": "ω", "Pi": "Π",
}  # fmt: skip
_SUB = str.maketrans("0123456789t-,", "₀₁₂₃₄₅₆₇₈₉ₜ₋ ")
_SUPER = str.maketrans("0123456789t", "⁰¹²³⁴⁵⁶⁷⁸⁹ᵗ")

ADD, MULTIPLY, POWER, ATOM = range(4)  # how tightly a printed piece holds together
Piece = tuple[str, int]


class Printer(ABC):
    """Prints nodes.

    Parameters
    ----------
    symbols
        The rule's own letters, in LaTeX, by name.
    stage
        Whether the rule is a stage, which hands theta and g on.
    names
        The name of a node that has a line of its own, by the node's identity.
    """

    minus: ClassVar[str]
    equal: ClassVar[str]
    modulo: ClassVar[str]
    arrow: ClassVar[str]
    dot: ClassVar[str]
    total: ClassVar[str]

    def __init__(self, symbols: Mapping[str, str], stage: bool, names: Mapping[int, str]) -> None:
        self.symbols, self.stage, self.names = symbols, stage, names

    def line(self, name: str, value: Any) -> str:
        """``name = value``; an arrow where the name stands for another value afterwards."""
        sign = self.arrow if self.timeless(name) else self.equal
        return f"{self.after(name)} {sign} {self.piece(value, top=True)[0]}"

    def sum(self, name: str, value: Any) -> str:
        """``name = sum of value`` over the elements of an array, or of all."""
        return f"{self.symbol(name, '')} {self.equal} {self.total} {self.within(value, MULTIPLY)}"

    def after(self, name: str) -> str:
        """The name of what this step computes."""
        return self.symbol(name, "" if self.timeless(name) else "t")

    def timeless(self, name: str) -> bool:
        """Return whether a stage hands the name on to the next one: theta and g of what is no rule of its own."""
        return self.stage and name in ("theta", "g")

    def piece(self, x: Any, top: bool = False) -> Piece:
        """A node's text and how tightly it holds together."""
        if not top and id(x) in self.names:
            return self.after(self.names[id(x)]), ATOM
        match x.op:
            case "symbol":
                return self.after("g") if x.args[0] == "g" else self.symbol(x.args[0], ""), ATOM
            case "before" if x.args[0] == "before":  # theta, as it entered the rule that a stage wraps
                return self.symbol("theta", "t-1"), ATOM
            case "before":
                return self.symbol(x.args[0], "" if self.timeless(x.args[0]) else "t-1"), ATOM
            case "scalar":
                return self.symbol(x.args[0], "t"), ATOM
            case "number":
                return x.args[0] if isinstance(x.args[0], str) else f"{x.args[0]:g}", ATOM
            case "matmul":
                return self.joined(*(self.within(y, MULTIPLY) for y in x.args)), MULTIPLY
            case "gram":
                x, is_turned = (x.args[0].args[0], True) if x.args[0].op == "transpose" else (x.args[0], False)
                pair = self.within(x, MULTIPLY), self.power_text(self.within(x, ATOM), "T")
                return self.joined(*(pair[::-1] if is_turned else pair)), MULTIPLY
            case "transpose":
                return self.power_text(self.within(x.args[0], ATOM), "T"), POWER
            case "item":  # of a pair: eigenvalues and eigenvectors, say
                return f"{self.piece(x.args[0])[0]}[{x.args[1]}]", ATOM
            case "repeat":
                start, body, _, n = x.args
                return self.repeated(self.piece(body)[0], self.piece(start)[0], n), ATOM
            case "when":
                return self.cases(*x.args)
            case "+" | "-":
                a, b = x.args
                sign = "+" if x.op == "+" else self.minus
                return f"{self.within(a, ADD)} {sign} {self.within(b, ADD if x.op == '+' else MULTIPLY)}", ADD
            case "neg":
                return f"{self.minus}{self.within(x.args[0], MULTIPLY)}", ADD
            case "*":
                return self.product(*x.args)
            case "/":
                a, b = x.args
                if self.is_product_of_fraction(a):  # (p/q b)/c reads better as p/q (b/c)
                    return self.joined(self.within(a.args[0], MULTIPLY), self.fraction(a.args[1], b)[0]), MULTIPLY
                return self.fraction(a, b)
            case "**":
                return self.power(*x.args)
            case "%":
                a, b = x.args
                return f"{self.within(a, ATOM)} {self.modulo} {self.within(b, ATOM)}", MULTIPLY
            case "<" | ">":
                return f"{self.within(x.args[0], ADD)} {x.op} {self.within(x.args[1], ADD)}", ADD
            case "where":
                return self.cases(*x.args)
            case _:
                return self.function(x.op, [self.piece(y) for y in x.args]), ATOM

    def product(self, a: Any, b: Any) -> Piece:
        """A product; x x is a square, (1/x) y a fraction."""
        if a is b:
            return self.power_text(self.within(a, POWER + 1), "2"), POWER
        for p, q in ((a, b), (b, a)):
            if p.op == "/" and id(p) not in self.names and p.args[0].op == "number" and p.args[0].args[0] == 1:
                return self.fraction(q, p.args[1])
        return self.joined(self.within(a, MULTIPLY), self.within(b, MULTIPLY)), MULTIPLY

    def joined(self, a: str, b: str) -> str:
        """Two printed factors; a dot where they would run together."""
        return f"{a} {self.dot} {b}" if b[0].isdigit() or " / " in a else f"{a} {b}"

    def power(self, a: Any, b: Any) -> Piece:
        """A power."""
        return self.power_text(self.within(a, ATOM), self.piece(b)[0]), POWER

    def is_product_of_fraction(self, x: Any) -> bool:
        """Return whether ``x`` is printed in place and is a product that begins with a fraction."""
        return x.op == "*" and id(x) not in self.names and x.args[0].op == "/" and x.args[0] is not x.args[1]

    def within(self, x: Any, tightness: int) -> str:
        """A node's text, in parentheses where it holds together less than its surroundings need."""
        text, own = self.piece(x)
        return text if own >= tightness else self.parentheses(text)

    @abstractmethod
    def symbol(self, name: str, when: str) -> str:
        """A name with its index of time."""

    @abstractmethod
    def parentheses(self, text: str) -> str:
        """``(text)``."""

    @abstractmethod
    def fraction(self, a: Any, b: Any) -> Piece:
        """A quotient."""

    @abstractmethod
    def power_text(self, base: str, exponent: str) -> str:
        """A power of printed pieces."""

    @abstractmethod
    def cases(self, condition: Any, a: Any, b: Any) -> Piece:
        """``a`` where the condition holds, else ``b``."""

    @abstractmethod
    def repeated(self, body: str, start: str, n: int) -> str:
        """``body``, a function of X, applied ``n`` times from ``start`` on."""

    @abstractmethod
    def function(self, word: str, arguments: list[Piece]) -> str:
        """A vocabulary word; the result holds together."""

    def letter(self, name: str) -> tuple[str, str]:
        """The LaTeX letter of a name and its index: ``beta1`` is beta and 1."""
        chosen = self.symbols.get(name) or LETTERS.get(name)
        if chosen:
            return chosen, ""
        stem, digits = re.fullmatch(r"(.*?)(\d*)", name).groups()  # type: ignore[union-attr]  # matches everything
        if stem in GREEK:
            return f"\\{stem}", digits
        if stem.endswith("_hat"):
            return f"\\hat{{{stem[:-4]}}}", digits
        return (stem, digits) if len(stem) == 1 else (f"\\mathrm{{{name}}}".replace("_", r"\_"), "")


class Text(Printer):
    """Unicode for a terminal: ``mₜ = β₁ mₜ₋₁ + (1 − β₁) gₜ``."""

    minus, equal, arrow, dot, total, modulo = "−", "=", "←", "·", "∑", "mod"

    def symbol(self, name: str, when: str) -> str:
        """Return a symbol at a time: ``mₜ₋₁``."""
        letter, digits = self.letter(name)
        plain = re.sub(r"\\mathrm\{(.*)\}", r"\1", letter).replace(r"\_", "_")
        for accent, mark in (("hat", "\u0302"), ("bar", "\u0304")):
            plain = re.sub(rf"\\{accent}\{{(.*)\}}", rf"\1{mark}", plain)
        plain = re.sub(r"\\(\w+)", lambda found: GREEK.get(found[1], found[1]), plain)
        index = ",".join(x for x in (digits, when) if x)
        return plain + index.translate(_SUB)

    def parentheses(self, text: str) -> str:
        """Return text in parentheses."""
        return f"({text})"

    def fraction(self, a: Any, b: Any) -> Piece:
        """Return a fraction."""
        return f"{self.within(a, MULTIPLY)} / {self.within(b, POWER)}", MULTIPLY

    def power_text(self, base: str, exponent: str) -> str:
        """Return a power."""
        if exponent == "T":
            return f"{base}ᵀ"
        simple = exponent.isdigit() or exponent == "t"
        return base + (exponent.translate(_SUPER) if simple else f"^({exponent})")

    def cases(self, condition: Any, a: Any, b: Any) -> Piece:
        """Return a choice by a condition."""
        return f"({self.piece(a)[0]} if {self.piece(condition)[0]} else {self.piece(b)[0]})", ATOM

    def repeated(self, body: str, start: str, n: int) -> str:
        """Return a function applied several times."""
        return f"[X ← {body}, {n} times from X = {start}]"

    def function(self, word: str, arguments: list[Piece]) -> str:
        """Return a function of its arguments."""
        texts = [text for text, _ in arguments]
        if word == "sqrt":
            return f"√{texts[0]}" if arguments[0][1] == ATOM else f"√({texts[0]})"
        if word == "cbrt":
            return f"∛{texts[0]}" if arguments[0][1] == ATOM else f"∛({texts[0]})"
        if word == "abs":
            return f"|{texts[0]}|"
        if word == "norm":
            return f"‖{texts[0]}‖"
        return f"{word.removesuffix('imum')}({', '.join(texts)})"


class Latex(Printer):
    """LaTeX for a page."""

    minus, equal, arrow, dot, total, modulo = "-", "&=", r"&\leftarrow", r"\cdot", r"\sum", r"\bmod"

    def symbol(self, name: str, when: str) -> str:
        """Return a symbol at a time: ``mₜ₋₁``."""
        letter, digits = self.letter(name)
        index = ",".join(x for x in (digits, when) if x)
        return f"{letter}_{{{index}}}" if index else letter

    def parentheses(self, text: str) -> str:
        """Return text in parentheses."""
        return rf"\left({text}\right)"

    def fraction(self, a: Any, b: Any) -> Piece:
        """Return a fraction."""
        return rf"\frac{{{self.piece(a)[0]}}}{{{self.piece(b)[0]}}}", MULTIPLY

    def power_text(self, base: str, exponent: str) -> str:
        """Return a power."""
        return f"{base}^{{{exponent}}}"

    def cases(self, condition: Any, a: Any, b: Any) -> Piece:
        """Return a choice by a condition."""
        top, rest = self.piece(a)[0], self.piece(b)[0]
        test = self.piece(condition)[0]
        return rf"\begin{{cases}}{top} & {test} \\ {rest} & \text{{otherwise}}\end{{cases}}", ATOM

    def repeated(self, body: str, start: str, n: int) -> str:
        """Return a function applied several times."""
        return rf"\left[X \leftarrow {body}\right]^{{{n}}}_{{X = {start}}}"

    def function(self, word: str, arguments: list[Piece]) -> str:
        """Return a function of its arguments."""
        texts = [text for text, _ in arguments]
        if word == "sqrt":
            return rf"\sqrt{{{texts[0]}}}"
        if word == "cbrt":
            return rf"\sqrt[3]{{{texts[0]}}}"
        if word == "abs":
            return rf"\left|{texts[0]}\right|"
        if word == "norm":
            return rf"\left\|{texts[0]}\right\|"
        names = {"maximum": r"\max", "max": r"\max", "minimum": r"\min"}
        texts = [rf"\text{{{x}}}" if x in ("rows", "columns", "all", "array") else x for x in texts]
        name = names.get(word) or rf"\operatorname{{{word}}}".replace("_", r"\_")
        return rf"{name}\left({', '.join(texts)}\right)"
