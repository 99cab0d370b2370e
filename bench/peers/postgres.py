"""Optuna's RDBStorage on a PostgreSQL server: many processes that store trials of 20 writes.

postgres.py URL PROCESSES SECONDS      prints trials per second, of all of them together
"""

import subprocess
import sys
import time

WORKER = "--worker"


def work(url: str, seconds: float) -> int:
    from optuna.storages import RDBStorage
    from twenty import begin_together, writer

    storage = RDBStorage(url.replace("postgresql:", "postgresql+psycopg2:"))
    trial = writer(storage, "optuna")
    begin_together(trial)
    n, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        trial()
        n += 1
    return n


def main() -> None:
    url, seconds = sys.argv[-3], float(sys.argv[-1])
    if sys.argv[1] == WORKER:
        print(work(url, seconds), flush=True)
        return
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, __file__, WORKER, *sys.argv[1:]]
    workers = []
    for _ in range(int(sys.argv[2])):
        workers.append(subprocess.Popen(command, **pipes))
        assert workers[-1].stdout.readline() == "ready\n"
    for w in workers:
        w.stdin.write("go\n")
        w.stdin.flush()
    print(sum(int(w.stdout.readline()) for w in workers) / seconds)
    for w in workers:
        w.communicate()


main()
