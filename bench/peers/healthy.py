#!/usr/bin/env python3
"""healthy.py KIND: a trial in which nothing is wrong, though it says nothing and looks odd."""
import multiprocessing
import os
import sys
import tempfile
import threading
import time


def burn():
    """Silent for longer than watch.stall, but at work."""
    end = time.monotonic() + 6
    while time.monotonic() < end:
        sum(range(10000))


def write():
    with tempfile.TemporaryFile(dir=".") as f:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            f.write(b"x" * 65536)
            f.flush()
            os.fsync(f.fileno())
            f.seek(0)


def with_thread():
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


def fork_and_exec():
    """A hundred times, from a process with threads."""
    with_thread()
    for _ in range(100):
        pid = os.fork()
        if pid == 0:
            os.execv("/bin/true", ["true"])
        os.waitpid(pid, 0)


def spawn():
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(len, ["a"] * 8)


def idle_pool():
    """Forked from a process with threads, and waits for work for longer than watch.deadlock."""
    with_thread()
    with multiprocessing.get_context("fork").Pool(3) as pool:
        time.sleep(2.5)
        pool.map(len, ["a"] * 8)


kinds = {
    "cpu": burn,
    "sleep": lambda: time.sleep(2),
    "io": write,
    "exec": fork_and_exec,
    "spawn": spawn,
    "pool": idle_pool,
}

if __name__ == "__main__":
    kinds[sys.argv[1]]()
    print("loss=0.5", flush=True)
