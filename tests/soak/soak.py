"""Everybody at once on one study, killed and restarted at random; then an independent checker.

    soak.py FORKLESS [--duration 1800] [--every 1] [--url URL] [--keep DIR] [--seed N]

Four Optuna processes (two on the database with heartbeats, two through `forkless serve`), four
forkless executors with a run directory in common, the dashboard, whose pages are asked for, and the
proxy. Every second or so one of them gets SIGKILL or SIGTERM and is started again; now and then, on
SQLite, another process holds the write lock for some seconds; on PostgreSQL (--url with +psycopg2),
the server ends connections. In the end all are stopped, one executor runs to an exact target, and
checker.py reads the tables. Exit 0: consistent.
"""

import argparse
import importlib.util
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

import optuna
from optuna.trial import TrialState

HERE = Path(__file__).parent
STUDY = "soak"
PYTHONS = 4
EXECUTORS = 4
# The worker of forkless: slow enough that the others get their share. What it wrote down before it
# printed its result is what the checker believes.
WORKER = (
    'echo "$FORKLESS_TRIAL f start" >> claims; sleep 0.$((RANDOM % 5 + 1));'
    ' echo "$FORKLESS_TRIAL f end" >> claims; echo loss=${x}'
)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Member:
    """A process of the soak: its command, and how it fared."""

    def __init__(self, name: str, argv: list[str]) -> None:
        self.name, self.argv = name, argv
        self.process: subprocess.Popen | None = None
        self.again = 0.0  # when to start it
        self.ends: Counter = Counter()
        self.killed = False

    def start(self) -> None:
        with open(f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.killed = False

    def look(self, now: float) -> None:
        """Notes an end, and starts it again when it is time."""
        if self.process is not None and self.process.poll() is not None:
            code = self.process.returncode
            self.ends[("killed " if self.killed else "by itself ") + str(code)] += 1
            self.process = None
            self.again = now + random.uniform(0.2, 2.0)
        if self.process is None and now >= self.again:
            self.start()

    def hit(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.killed = True
            self.process.send_signal(random.choices((signal.SIGKILL, signal.SIGTERM), (7, 3))[0])

    def stop(self) -> None:
        if self.process is None:
            return
        self.killed = True
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.ends["stopped " + str(self.process.returncode)] += 1


def hold_lock(path: str, seconds: float) -> subprocess.Popen:
    """Another writer, in a process of its own."""
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sqlite3, sys, time\n"
            "c = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)\n"
            "c.execute('BEGIN IMMEDIATE'); time.sleep(float(sys.argv[2])); c.execute('ROLLBACK')",
            path,
            str(seconds),
        ]
    )


def cut_connections(url: str) -> None:
    """The server ends every second connection of a database, in the middle of whatever it does."""
    from sqlalchemy import create_engine, text

    engine = create_engine(url)
    with engine.connect() as c:
        c.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                " datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5"
            )
        )
    engine.dispose()


def members(args: argparse.Namespace, url: str, ports: dict) -> list[Member]:
    python = [sys.executable, str(HERE / "python_worker.py")]
    out = [
        Member(
            "proxy",
            [args.forkless, "serve", "--storage", url, "--listen", f"127.0.0.1:{ports['proxy']}"],
        )
    ]
    out.append(
        Member(
            "dashboard",
            [
                str(Path(sys.executable).parent / "optuna-dashboard"),
                url,
                "--port",
                str(ports["dashboard"]),
            ],
        )
    )
    for i in range(EXECUTORS):
        out.append(
            Member(
                f"executor{i}",
                [
                    args.forkless,
                    "run",
                    "--storage",
                    url,
                    "--dir",
                    "runs",
                    "--study",
                    STUDY,
                    "--metric",
                    "loss",
                    "-n",
                    "100000000",
                    "-j",
                    "2",
                    "-q",
                    "--grace",
                    "1s",
                    "budget.attempts=100000000",
                    "retry.lost=unlimited",
                    "report.heartbeat=5s",
                    "x=float:0..1",
                    "--",
                    "/bin/bash",
                    "-c",
                    WORKER,
                ],
            )
        )
    for i in range(PYTHONS):
        where = ["grpc", str(ports["proxy"])] if i % 2 else ["rdb", url]
        out.append(Member(f"python{i}", [*python, f"p{i}", STUDY, *where]))
    return out


def ask_dashboard(port: int, seen: Counter) -> None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=10) as r:
            seen[f"dashboard {r.status}"] += 1
    except (OSError, ValueError) as e:
        seen[f"dashboard {type(e).__name__}"] += 1


def chaos(all_members: list[Member], args: argparse.Namespace, url: str, ports: dict) -> Counter:
    seen: Counter = Counter()
    begin = time.monotonic()
    next_hit, next_page, next_lock = begin + 5, begin + 5, begin + 20
    locker = None
    while (now := time.monotonic()) < begin + args.duration:
        for m in all_members:
            m.look(now)
        if now >= next_hit:
            random.choice(all_members).hit()
            seen["hits"] += 1
            next_hit = now + random.expovariate(1 / args.every)
        if now >= next_page:
            ask_dashboard(ports["dashboard"], seen)
            next_page = now + 3
        if (
            url.startswith("sqlite")
            and now >= next_lock
            and (locker is None or locker.poll() is not None)
        ):
            locker = hold_lock(url.split(":///", 1)[1], random.uniform(1, 8))
            seen["locks"] += 1
            next_lock = now + random.uniform(10, 40)
        if url.startswith("postgresql") and now >= next_lock:
            cut_connections(url)
            seen["cuts"] += 1
            next_lock = now + random.uniform(5, 20)
        time.sleep(0.05)
    if locker is not None:
        locker.wait()
    return seen


def finish(args: argparse.Namespace, url: str) -> int:
    """Trials of Python processes through the proxy have no heartbeat: nobody else ends them."""
    study = optuna.load_study(study_name=STUDY, storage=url)
    for t in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if "forkless:owner" not in t.system_attrs:
            study.tell(t.number, state=TrialState.FAIL)
    states = Counter(t.state for t in study.get_trials(deepcopy=False))
    open_ones = states[TrialState.RUNNING] + states[TrialState.WAITING]
    target = states[TrialState.COMPLETE] + open_ones + 20
    done = subprocess.run(
        [
            args.forkless,
            "run",
            "--storage",
            url,
            "--dir",
            "runs",
            "--study",
            STUDY,
            "--metric",
            "loss",
            "-n",
            str(target),
            "-j",
            "4",
            "--json",
            "budget.attempts=100000000",
            "retry.lost=unlimited",
            "x=float:0..1",
            "--",
            "/bin/bash",
            "-c",
            WORKER,
        ],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode != 0:
        print(
            f"the last executor ended with {done.returncode}: {done.stdout[-800:]}"
        )
    return target


def soak(args: argparse.Namespace, where: str) -> int:
    os.chdir(where)
    random.seed(args.seed)
    url = args.url or f"sqlite:///{where}/soak.db"
    optuna.create_study(study_name=STUDY, storage=url)
    Path("claims").touch()
    ports = {"proxy": free_port(), "dashboard": free_port()}
    all_members = members(args, url, ports)
    try:
        seen = chaos(all_members, args, url, ports)
    finally:
        for m in reversed(all_members):
            m.stop()
    for m in all_members:
        print(f"{m.name}: {dict(m.ends)}")
    print(dict(seen))
    target = finish(args, url)
    left = list(Path("runs/.spool").glob("*")) if Path("runs/.spool").exists() else []
    if left:
        print(f"WRONG spools are left: {left}")
    code = subprocess.run(
        [
            sys.executable,
            str(HERE / "checker.py"),
            url,
            STUDY,
            "--target",
            str(target),
            "--claims",
            "claims",
        ],
        check=False,
    ).returncode
    if url.startswith("sqlite"):
        check = subprocess.run([args.forkless, "db", "check", url], check=False)
        with sqlite3.connect(url.split(":///", 1)[1]) as db:
            print("integrity", db.execute("PRAGMA integrity_check").fetchone()[0])
        code = code or check.returncode
    return 1 if left else code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("forkless")
    parser.add_argument(
        "--duration", type=float, default=float(os.environ.get("SOAK_SECONDS", "1800"))
    )
    parser.add_argument("--every", type=float, default=1.0, help="mean seconds between hits")
    parser.add_argument(
        "--url",
        default=os.environ.get("SOAK_URL"),
        help="an empty database (default: a SQLite file)",
    )
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", help="directory that stays")
    args = parser.parse_args()
    args.forkless = os.path.abspath(args.forkless)
    args.seed = args.seed if args.seed is not None else random.randrange(10**9)
    if (
        importlib.util.find_spec("grpc") is None
        or importlib.util.find_spec("optuna_dashboard") is None
    ):
        print("SKIPPED: grpcio or optuna-dashboard is not installed")
        sys.exit(0)
    print(f"seed {args.seed}", flush=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    where = args.keep or tempfile.mkdtemp(prefix="forkless-soak-")
    os.makedirs(where, exist_ok=True)
    code = soak(args, os.path.abspath(where))
    if code == 0 and not args.keep:
        shutil.rmtree(where, ignore_errors=True)
    else:
        print(f"what it left is in {where}")
    sys.exit(code)


if __name__ == "__main__":
    main()
