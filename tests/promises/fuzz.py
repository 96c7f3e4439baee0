"""Runs in a process of its own: hostile files by the thousand, and what loading them does. Prints what it counted.

``python fuzz.py FIRST LAST FOLDER [product|no-hash|numpy]``: file number k is made from the seed k alone.
"""

import contextlib
import io
import json
import math
import os
import random
import sys
import tempfile
import tracemalloc
import warnings
from hashlib import sha256
from pathlib import Path

import numpy as np

import gradstep as gs
from gradstep.checkpoint import format as product
from promises import small
from support import fingerprint

BANNED = (
    "exec", "compile", "import", "pickle.", "marshal.", "code.", "ctypes.", "socket.", "subprocess.", "os.system",
    "os.exec", "os.spawn", "os.posix_spawn", "os.fork", "os.remove", "os.rename", "os.link", "os.mkdir",
)  # fmt: skip
HARMLESS = {"ctypes.addressof"}  # a file may say that parameters count apart; then a step's tables are made anew
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CODES = {
    "float16": "F16", "float32": "F32", "float64": "F64", "int8": "I8", "int64": "I64", "uint16": "U16", "bool": "BOOL",
    "bfloat16": "BF16", "complex64": "F32", "complex128": "F64",
}  # fmt: skip
SIZES = {
    "float16": 2, "float32": 4, "float64": 8, "int8": 1, "int64": 8, "uint16": 2, "bool": 1, "bfloat16": 2,
    "complex64": 8, "complex128": 16,
}  # fmt: skip
WORDS = ["", "param/w", "state/w/nadam.m", "__metadata__", "a\x00b", "\ud800", "../../etc/passwd", "ä" * 40, "big", "F",
         "nadam", "function", "float128", "object", "O", "V4096", "linear", "freeze"]  # fmt: skip
RAW = ["1e999", "-1e999", "NaN", "Infinity", "-0", "1" * 400, "1" * 5000, "-1", "9223372036854775808", "0.1e-400",
       "4611686018427387903", '"\\u0000"', '"\\ud83d"', "1E5", "[" * 40 + "]" * 40, "[" * 600 + "]" * 600,
       "[" * 20_000 + "]" * 20_000, '{"a":' * 300 + "0" + "}" * 300]  # fmt: skip
LISTS = ["[" + ",".join(["[]"] * 30_000) + "]", "[" + ",".join(["{}"] * 30_000) + "]",
         "[" + ",".join(["0"] * 60_000) + "]", "{" + ",".join(f'"{k}":[]' for k in range(9_000)) + "}"]  # fmt: skip


# ---------------------------------------------------------------- damage to bytes


def damaged(rng, data):
    """A valid file with a few changes of any kind to its bytes."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place, kind, n = rng.randrange(max(len(data), 1)), rng.randrange(9), 1 << rng.randrange(8)
        if not data or kind == 8:
            data += rng.randbytes(n)
        elif kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[place:]
        elif kind == 2:
            data[place : place + n] = rng.randbytes(n)
        elif kind == 3:  # a piece from elsewhere
            other = rng.randrange(len(data))
            data[place : place + n] = data[other : other + n]
        elif kind == 4:
            del data[place : place + n]
        elif kind == 5:
            data[place:place] = data[rng.randrange(len(data)) :][:n]
        elif kind == 6:  # the length of the header
            length = rng.choice(
                (0, 1, 7, 8, len(data), len(data) - 8, 1 << 27, 1 << 40, (1 << 64) - 1, rng.randrange(1 << 16))
            )
            data[:8] = length.to_bytes(8, "little")
        else:  # a letter of the header for another
            place = rng.randrange(min(len(data), 3000))
            data[place : place + 1] = rng.choice(
                (b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"0", b"-", b" ", b"\xff")
            )
    return bytes(data)


# ---------------------------------------------------------------- damage to what the bytes mean, hashes made anew


def whole(text, table, payload):
    """A file whose header and hashes belong to the text of its manifest, as far as they can."""
    entries = {}
    for name, row in sorted(table.items()) if isinstance(table, dict) else ():
        try:
            pairs = [2] if row["dtype"].startswith("complex") else []
            entries[name] = {"dtype": CODES[row["dtype"]], "shape": [*row["shape"], *pairs],
                             "data_offsets": row["offsets"]}  # fmt: skip
        except (TypeError, KeyError, AttributeError):
            entries[name] = {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}
    known = {"manifest_sha256": sha256(text.encode("utf-8", "surrogatepass")).hexdigest(), "manifest": text}
    header = json.dumps({"__metadata__": known, **entries}, separators=(",", ":"))
    header = (header + " " * (-len(header) % 8)).encode()
    return len(header).to_bytes(8, "little") + header + payload


def somewhere(rng, node):
    """A dict or list somewhere in a nest, and a key in it."""
    while True:
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        if not (isinstance(node[key], dict | list) and node[key]) or rng.random() < 0.25:
            return node, key
        node = node[key]


def arrays(rng):
    """A table of arrays of odd shapes, all consistent, and their bytes."""
    table, payload = {}, b""
    for name in rng.sample(["param/w", "param/b", "state/b/nadam.m", "state/", "x", "\ud800", "param/a/b", ""], 3):
        dtype = rng.choice(list(SIZES))
        shape = [rng.choice((0, 1, 1, 2, 3)) for _ in range(rng.choice((0, 1, 2, 3, 33, 65)))]
        if 0 in shape:
            shape.insert(rng.randrange(len(shape) + 1), rng.choice((0, 1, 2**31, 2**61, 2**63 - 1)))
        size = math.prod(shape) * SIZES[dtype]
        if size > 5000:
            continue
        raw = rng.randbytes(size)
        row = {"dtype": dtype, "shape": shape, "offsets": [len(payload), len(payload) + len(raw)],
               "sha256": sha256(raw).hexdigest()}  # fmt: skip
        table[name] = row | rng.choice(({}, {"byteorder": "big"}, {"byteorder": "little"}, {"order": "F"}))
        payload += raw
    return table, payload


def hostile(rng, manifest, payload):
    """A file that somebody made with care: its hashes are right, and something in it is not."""
    manifest = json.loads(json.dumps(manifest))
    raw = {}
    if rng.random() < 0.2:
        manifest["tensors"], payload = arrays(rng)
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        node, key = somewhere(rng, manifest)
        kind = rng.randrange(8)
        if kind == 0:
            del node[key]
        elif kind == 1:
            node[key] = rng.choice(
                (
                    None,
                    True,
                    False,
                    -1,
                    0,
                    1,
                    0.5,
                    -0.0,
                    1e308,
                    2**31,
                    2**53 + 1,
                    2**63,
                    2**64,
                    10**30,
                    [],
                    {},
                    [[]],
                    "x",
                )
            )
        elif kind == 2:
            node[key] = rng.choice(WORDS)
        elif kind == 3 and isinstance(node, dict):
            node[rng.choice(WORDS)] = node.pop(key)
        elif kind == 4:
            node[key] = [node[key]] if rng.random() < 0.5 else {"function": node[key]}
        else:
            mark = f"@raw{len(raw)}@"
            node[key] = mark
            if kind == 7 and isinstance(node, dict):  # twice, which JSON permits
                raw[f'"{mark}"'] = f"0,{json.dumps(key)}:{rng.choice(RAW[:6])}"
            else:
                raw[f'"{mark}"'] = rng.choice(LISTS) if rng.random() < 0.003 else rng.choice(RAW)
    text = json.dumps(manifest, sort_keys=rng.random() < 0.97, separators=(",", ":"))
    for mark, other in raw.items():
        text = text.replace(mark, other)
    return whole(text, manifest.get("tensors"), payload)


# ---------------------------------------------------------------- the run


class Watch:
    """Counts the events of Python's audit that loading a file must never cause."""

    def __init__(self):
        self.on, self.events, self.seen = False, 0, set()
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        if not self.on:
            return
        writes = event == "open" and bool((arguments[2] or 0) & WRITING)
        if writes or (event.startswith(BANNED) and event not in HARMLESS):
            self.events += 1
        self.seen.add(event)


def with_the_same_hash():
    """Take the check away: every hash is like every other."""

    product.hashlib = small.Hashes
    globals()["sha256"] = small.Hashes.sha256


def parts(data):
    """The manifest and the arrays' bytes of a valid file."""
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(json.loads(data[8:end])["__metadata__"]["manifest"]), data[end:]


def first_use(path):
    """Let the library and Python load their own modules, which happens once, whatever is in a file."""
    row = {"dtype": "bfloat16", "shape": [1], "offsets": [0, 2], "sha256": sha256(b"ab").hexdigest()}
    text = json.dumps({"format": 1, "tensors": {"x": row}}, sort_keys=True, separators=(",", ":"))
    path.write_bytes(whole(text, {"x": row}, b"ab"))
    gs.load(path)
    with contextlib.suppress(gs.GradstepError):
        gs.schedules.from_json({"schedule": "liner"})


def numpy_load(path):
    """Another library's loader, which runs code where a file says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            np.load(path, allow_pickle=True)
        except Exception as error:
            raise gs.CheckpointError("refused") from error


def main(first, last, folder, what):
    if what == "no-hash":
        with_the_same_hash()
    path = Path(folder) / "fuzzed.safetensors"
    opt = small.saved(path)
    opt.step(small.grads())
    plain = path.read_bytes()
    if what == "numpy":
        box = io.BytesIO()
        np.save(box, np.array([{"a": 1}], object))
        plain = box.getvalue()
    before = fingerprint(opt)
    here = Path(folder) / "here.safetensors"
    kinds = []
    for kind in small.GENERATORS:
        rngs = small.generators(kind)
        opt.save(here, rng=rngs)
        kinds.append((rngs, here, *parts(here.read_bytes())))
        here = here.with_name(f"{kind}.safetensors")
    first_use(path)
    handle = os.open(path, os.O_RDWR)
    watch = Watch()
    count = dict.fromkeys(("files", "loaded", "restored", "other", "changed", "measured", "memory", "undetected"), 0)
    examples = []
    load = numpy_load if what == "numpy" else gs.load
    for k in range(first, last):
        rng = random.Random(k)
        by_hand = k % 4 == 3 and what != "numpy"
        rngs, here, manifest, payload = kinds[rng.random() < 0.03]
        data = plain if what == "numpy" else hostile(rng, manifest, payload) if by_hand else damaged(rng, plain)
        os.ftruncate(handle, 0)
        os.pwrite(handle, data, 0)
        count["files"] += 1
        measured = k % 5 == 0
        if measured:  # which is slow
            tracemalloc.start()
        watch.on = True
        good = False
        try:
            load(path)
            good = True
        except gs.CheckpointError:
            pass
        except Exception as error:
            count["other"] += 1
            examples.append((k, "load", repr(error)[:200]))
        watch.on = False
        if measured:
            count["measured"] += 1
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            if peak > 3 * len(data) + (32 << 20 if by_hand else 64 << 10):
                count["memory"] += 1
                examples.append((k, "memory", peak, len(data)))
        count["loaded"] += good
        count["undetected"] += good and not by_hand and data != plain
        if what != "product" or not (good or k % 50 == 0):
            continue
        ours = rng.choice(({}, rngs))
        options = {"strict": rng.random() < 0.7, "hyper": rng.random() < 0.7}
        states = small.states(rngs)
        watch.on = True
        try:
            opt.restore(path, rng=ours, **options)
        except gs.CheckpointError:
            watch.on = False
            if fingerprint(opt) != before or small.states(rngs) != states:
                count["changed"] += 1
                examples.append((k, "changed"))
        except Exception as error:
            watch.on = False
            count["other"] += 1
            examples.append((k, "restore", repr(error)[:200]))
        else:
            count["restored"] += 1
            try:
                opt.step(small.grads())  # with whatever is in there now
                _ = [one.random(1000) for one in rngs.values()], repr(opt), dict(opt.hyper)
            except gs.GradstepError:
                pass
            except Exception as error:
                count["other"] += 1
                examples.append((k, "step", repr(error)[:200]))
            watch.on = False
            opt.restore(here, rng=rngs)
            assert fingerprint(opt) == before
    watch.on = False
    count |= {"events": watch.events, "seen": sorted(watch.seen), "examples": examples[:20]}
    print(json.dumps(count))  # noqa: T201 - read by the test


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[3]) as own:
        main(int(sys.argv[1]), int(sys.argv[2]), own, sys.argv[4])
