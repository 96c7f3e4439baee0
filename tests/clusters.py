"""Schedulers and workers in processes of their own, on this host or on two that are made of network namespaces."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time

from support import environment

START = 90.0  # seconds that a process may take on a busy machine until it answers


class Processes:
    """Processes that are ended with the block, each with its output in a file of the folder."""

    def __init__(self, folder):
        self.folder, self.running = folder, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            end(process)

    def start(self, name, command, before=(), **more):
        with (self.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                [*before, *map(str, command)],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=environment(**more),
                start_new_session=True,
            )
        self.running.append(process)
        return process

    def said(self):
        """The last words of all of them, for a message."""
        return {path.name: path.read_text()[-600:] for path in self.folder.glob("*.log")}


def end(process, signal_number=15):
    """End a process and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal_number)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait(timeout=10)


def until(found, processes, seconds=START):
    """Return what ``found`` gives as soon as that is something."""
    ended = time.monotonic() + seconds
    while time.monotonic() < ended:
        if (got := found()) is not None:
            return got
        time.sleep(0.05)
    raise AssertionError(processes.said())


def dask_scheduler(processes, name="scheduler", host="127.0.0.1", before=(), **more):
    """Start a scheduler of dask, and return its process and its address."""
    file = processes.folder / f"{name}.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "dask", "scheduler", "--no-dashboard", "--port", "0", "--host", host]
    process = processes.start(name, [*command, "--scheduler-file", file], before, **more)

    def address():
        with contextlib.suppress(OSError, ValueError):
            return json.loads(file.read_text())["address"]

    return process, until(address, processes)


def dask_worker(processes, name, address, before=(), options=(), **more):
    """Start a worker of dask with one thread; it may take a while until it is there."""
    command = [sys.executable, "-m", "dask", "worker", address, "--no-dashboard", "--nthreads", "1"]
    return processes.start(name, [*command, "--local-directory", processes.folder / name, *options], before, **more)


class Hosts:
    """Two hosts: network namespaces with a link between them, which can be cut and mended.

    ``before(k)`` are the first words of a command on host k, 0 or 1; ``address(k)`` is its address. For any test of
    what goes over a network; a host has this machine's files.
    """

    def __init__(self):
        self.names = [f"gs{os.getpid()}{side}" for side in "ab"]
        self.net = f"10.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}"

    def __enter__(self):
        try:
            for name in self.names:
                ip("netns", "add", name)
            a, b = self.names
            ip("link", "add", "name", f"v{a}", "netns", a, "type", "veth", "peer", "name", f"v{b}", "netns", b)
            for k, name in enumerate(self.names):
                ip("-n", name, "address", "add", f"{self.address(k)}/24", "dev", f"v{name}")
                ip("-n", name, "link", "set", "lo", "up")
            self.mend()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def address(self, k):
        return f"{self.net}.{k + 1}"

    def interface(self, k):
        return f"v{self.names[k]}"

    def before(self, k):
        return ["ip", "netns", "exec", self.names[k]]

    def cut(self):
        """Let nothing more through, without a word to either side: as when a cable is pulled far away."""
        for name in self.names:
            ip("-n", name, "link", "set", f"v{name}", "down")

    def mend(self):
        for name in self.names:
            ip("-n", name, "link", "set", f"v{name}", "up")


def ip(*arguments):
    done = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def why_no_hosts():
    """Return the reason why two hosts cannot be made here, None where they can."""
    if shutil.which("ip") is None:
        return "no ip (iproute2)"
    try:
        with Hosts():
            return None
    except OSError as error:
        return str(error)
