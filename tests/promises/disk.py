"""A disk that loses what was not forced to it: system calls of a save as a log, and all that a crash may leave of them.

The model is POSIX's promise and no more. Content that was not followed by an fsync of its file is there in any part:
any of the writes, torn anywhere, zeros for it, a shorter file. Names that were not followed by an fsync of their folder
are there in any subset, in the order in which they were given. A rename is one thing: it is there or not.
"""

import itertools
import os
from dataclasses import dataclass, field
from pathlib import Path

_MANY = 64  # of the subsets of names that are left, at most 2**6


@dataclass
class Log:
    """What happened in a folder: ``content`` of files by number, ``names``, and forces to the disk."""

    folder: Path
    events: list = field(default_factory=list)
    files: dict = field(default_factory=dict)  # open descriptor -> number of a file, or None for the folder
    numbers: dict = field(default_factory=dict)  # name -> number
    places: dict = field(default_factory=dict)  # open descriptor -> where the next write goes
    calls: list = field(default_factory=list)  # names of the functions, in order


def recorded(monkeypatch, folder, save):
    """The log of what ``save()`` did through the functions of ``os``."""
    log = Log(Path(os.path.realpath(folder)))
    log.numbers = {name: k for k, name in enumerate(sorted(os.listdir(folder)))}
    with monkeypatch.context() as patch:
        for name in ("open", "write", "lseek", "fsync", "link", "replace", "unlink", "close"):
            patch.setattr(os, name, _spy(log, name, getattr(os, name)))
        save()
    assert not log.files, "a file was left open"
    return log


def _spy(log, name, real):
    def call(*args, **options):
        out = real(*args, **options)
        if _note(log, name, args, out):
            log.calls.append(name)
        return out

    return call


def _note(log, name, args, out):
    """Write down what a call has changed; whether it had to do with the folder."""
    inside = [Path(x).name for x in args[:2] if isinstance(x, str | Path) and Path(x).parent == log.folder]
    if name == "open":
        if Path(args[0]) == log.folder:
            log.files[out] = None
        elif inside:
            if args[1] & os.O_CREAT:
                log.numbers[inside[0]] = max(log.numbers.values(), default=-1) + 1
                log.events.append(("name", {inside[0]: log.numbers[inside[0]]}))
            log.files[out], log.places[out] = log.numbers[inside[0]], 0
        return Path(args[0]) == log.folder or bool(inside)
    if name in ("link", "replace", "unlink"):
        number = log.numbers[inside[0]]
        changed = {inside[0]: None} if name != "link" else {}
        changed |= {inside[1]: number} if name != "unlink" else {}
        log.numbers = {n: k for n, k in (log.numbers | changed).items() if k is not None}
        log.events.append(("name", changed))
        return True
    if args[0] not in log.files:
        return False
    number = log.files[args[0]]
    if name == "close":
        del log.files[args[0]]
    elif name == "lseek":
        log.places[args[0]] = out
    elif name == "write":
        log.events.append(("write", number, log.places[args[0]], bytes(args[1])[:out]))
        log.places[args[0]] += out
    elif name == "fsync":
        log.events.append(("folder",) if number is None else ("file", number))
    return True


def crashes(log, before):
    """All states after a crash: whether all calls had been made, and the folder as {name: content}.

    ``before`` is the folder as it was, all of it on the disk.
    """
    start = {k: before[name] for k, name in enumerate(sorted(before))}
    for n in range(len(log.events) + 1):
        events, seen = log.events[:n], []
        for names in _names(events, {name: k for k, name in enumerate(sorted(before))}):
            wanted = sorted(set(names.values()))
            for contents in itertools.product(*(_contents(events, k, start.get(k, b"")) for k in wanted)):
                by_number = dict(zip(wanted, contents, strict=True))
                state = {name: by_number[k] for name, k in names.items()}
                if state not in seen:
                    seen.append(state)
                    yield n == len(log.events), state


def _names(events, names):
    """What the folder may list: what was forced to the disk, and any of the changes since."""
    last = max((k for k, event in enumerate(events) if event[0] == "folder"), default=-1)
    changes = [event[1] for event in events[: last + 1] if event[0] == "name"]
    for change in changes:
        names = names | change
    later = [event[1] for event in events[last + 1 :] if event[0] == "name"]
    assert 2 ** len(later) <= _MANY
    for chosen in itertools.product((False, True), repeat=len(later)):
        found = dict(names)
        for change in itertools.compress(later, chosen):
            found |= change
        yield {name: k for name, k in found.items() if k is not None}


def _contents(events, number, start):
    """What a file may hold: what was forced to the disk, and any part of what was written since."""
    last = max((k for k, event in enumerate(events) if event == ("file", number)), default=-1)
    written = [(k, *event[2:]) for k, event in enumerate(events) if event[0] == "write" and event[1] == number]
    safe = start
    for k, at, data in written:
        if k < last:
            safe = _put(safe, at, data)
    later = [(at, data) for k, at, data in written if k > last]
    out = []
    for chosen in itertools.product((False, True), repeat=len(later)):
        content = safe
        for at, data in itertools.compress(later, chosen):
            content = _put(content, at, data)
        out.append(content)
    for k, (at, data) in enumerate(later):
        content = safe
        for earlier_at, earlier in later[:k]:
            content = _put(content, earlier_at, earlier)
        out += [_put(content, at, data[:cut]) for cut in {0, 1, len(data) // 2, len(data) - 1, 512} if cut < len(data)]
        out.append(_put(content, at, bytes(len(data))))  # the length has come, the data has not
        out.append(_put(content, at, data)[: at + len(data) // 2])
    return list(dict.fromkeys(out))


def _put(content, at, data):
    if not data:
        return content
    content = content.ljust(at, b"\0")
    return content[:at] + data + content[at + len(data) :]
