"""Equations of rules as HTML: a third alphabet beside those of terminals and LaTeX. It needs no fonts and no script."""

import html
import re
from typing import ClassVar

from gradstep.form.equation import equation
from gradstep.form.printing import ADD, ATOM, GREEK, Piece, Printer
from gradstep.form.rule import Rule

_TALL = "gs-over"  # the class of a fraction: what stands around one grows with it


def shown(rule: Rule) -> str:
    """Return the equations of a rule as a table with a row for each, aligned at their signs."""
    made = equation(rule)
    rows = [line.split("\t", 1) for line in made._printed(Html)]
    cells = "".join(f"<tr><td>{left}</td><td>{right}</td></tr>" for left, right in rows)
    label = html.escape(made.text().replace("\n", "; "))
    table = f'<table class="gs-math" role="presentation"><tbody>{cells}</tbody></table>'
    return f'<div class="gs-equation" tabindex="0" role="math" aria-label="{label}">{table}</div>'


class Html(Printer):
    """HTML with classes that ``site.css`` lays out."""

    minus, equal, arrow, dot, total, modulo = "−", "\t=", "\t←", "·", "∑", "mod"
    accents: ClassVar = {"hat": "\u0302", "bar": "\u0304"}

    def symbol(self, name: str, when: str) -> str:
        """Return a symbol at a time."""
        letter, digits = self.letter(name)
        plain = re.sub(r"\\mathrm\{(.*)\}", r"\1", letter).replace(r"\_", "_")
        for accent, mark in self.accents.items():
            plain = re.sub(rf"\\{accent}\{{(.*)\}}", rf"\1{mark}", plain)
        plain = re.sub(r"\\(\w+)", lambda found: GREEK.get(found[1], found[1]), plain)
        is_word = len(plain) > 1 and plain[1] not in self.accents.values()
        text = f"<span>{plain}</span>" if is_word else f"<i>{plain}</i>"
        index = ",".join(x for x in (digits, when.replace("-", "−")) if x)
        return f"{text}<sub>{index}</sub>" if index else text

    def parentheses(self, text: str) -> str:
        """Return text in parentheses, as tall as it is."""
        if _TALL not in text:
            return f"({text})"
        left, right = (_stretched("gs-bend", f"0 0 6 20 M{a} 0.5Q{b} 10 {a} 19.5") for a, b in ((5, -1), (1, 7)))
        return f'<span class="gs-tall">{left}<span>{text}</span>{right}</span>'

    def fraction(self, a: object, b: object) -> Piece:
        """Return a fraction."""
        parts = "".join(f"<span>{self.within(x, ADD)}</span>" for x in (a, b))
        return f'<span class="{_TALL}">{parts}</span>', ATOM

    def power_text(self, base: str, exponent: str) -> str:
        """Return a power."""
        return f"{base}<sup>{exponent}</sup>"

    def cases(self, condition: object, a: object, b: object) -> Piece:
        """Return a choice by a condition."""
        yes, no, test = (self.within(x, ADD) for x in (a, b, condition))
        brace = _stretched("gs-bend", "0 0 8 40 M7 0.5Q4 0.5 4 8V14Q4 20 1 20Q4 20 4 26V32Q4 39.5 7 39.5")
        rows = f"<span>{yes}<em>if {test}</em></span><span>{no}<em>otherwise</em></span>"
        return f'<span class="gs-tall">{brace}<span class="gs-cases">{rows}</span></span>', ATOM

    def repeated(self, body: str, start: str, n: int) -> str:
        """Return a function applied several times."""
        return f"[<i>X</i> ← {body}, {n} times from <i>X</i> = {start}]"

    def function(self, word: str, arguments: list[Piece]) -> str:
        """Return a function of its arguments."""
        texts = [text for text, _ in arguments]
        if word in ("sqrt", "cbrt"):
            sign = _stretched("gs-sign", "0 0 10 20 M0.5 12L3 10.5L6 19L9.5 0.5H10")
            index = "<sup>3</sup>" if word == "cbrt" else ""
            return f'<span class="gs-root">{index}{sign}<span>{texts[0]}</span></span>'
        if word in ("abs", "norm"):
            return f'<span class="gs-{word}">{texts[0]}</span>'
        return f"{word.removesuffix('imum')}{self.parentheses(', '.join(texts))}"


def _stretched(kind: str, picture: str) -> str:
    """Return a sign that is as tall as what stands beside it."""
    box, _, path = picture.partition(" M")
    drawn = f'<path d="M{path}" vector-effect="non-scaling-stroke"/>'
    return f'<svg class="{kind}" viewBox="{box}" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>'
