#!/usr/bin/env python3
"""cleanlab-fork: the incident. A process with a live gRPC channel calls cleanlab's find_label_issues,
which forks a pool of processes unless n_jobs=1.

Called by `forkless repro`: docs/reproducers.md says how.
"""
import argparse
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import threading
import time

# All of them, so that what hangs today hangs next year.
PINS = """
cleanlab==2.9.0 grpcio==1.85.1 joblib==1.6.0 narwhals==2.29.0 numpy==2.4.6 pandas==3.1.1
python-dateutil==4.0.0 scikit-learn==1.9.1 scipy==1.17.1 termcolor==3.3.0 threadpoolctl==3.8.0
tqdm==4.70.1 typing_extensions==4.16.0 tzdata==2026.6
""".split()

CALL = "/forkless.Echo/Echo"
FORK_SUPPORT = "GRPC_ENABLE_FORK_SUPPORT"

# A Python that has the packages already, of whatever versions: then nothing is installed.
GIVEN = os.environ.get("FORKLESS_PYTHON")
ENTERED = "FORKLESS_REPRO_PYTHON"  # the one that runs us

# So many that one is inside gRPC at nearly every instant: a single one lets a fork slip through now and
# then, and the pool passes.
EXPORTERS = 4


def tell(event, **fields):
    """A line for the one who watches: the worker contract's channel, or stderr when run by hand."""
    line = json.dumps({"op": "event", "event": event, **fields}) + "\n"
    os.write(int(os.environ.get("FORKLESS_FD", 2)), line.encode())


# ---- the Python that has the packages ----


def environment():
    """Its directory: another one for other pins or another Python."""
    what = " ".join([sys.version, *PINS])
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    name = "repro-cleanlab-" + hashlib.sha256(what.encode()).hexdigest()[:12]
    return os.path.join(cache, "forkless", name)


def is_ready():
    return bool(GIVEN) or os.path.exists(os.path.join(environment(), "ready"))


def check_given():
    """Ends when it lacks something."""
    find = "import importlib.util as u; print(*(n for n in ('cleanlab', 'grpc') if not u.find_spec(n)))"
    try:
        missing = subprocess.run([GIVEN, "-c", find], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as e:
        sys.exit(f"FORKLESS_PYTHON: {e}")
    if missing.strip():
        sys.exit(f"FORKLESS_PYTHON: {GIVEN} has no {' and no '.join(missing.split())}")


def enter():
    """Goes on in the Python that has the packages."""
    python = GIVEN or os.path.join(environment(), "bin", "python")
    if os.environ.get(ENTERED) != python:
        os.environ[ENTERED] = python
        os.execvp(python, [python, *sys.argv])


def install(where):
    pip = os.path.join(where, "bin", "pip")
    make = [sys.executable, "-m", "venv", "--clear", where]
    fill = [pip, "install", "-q", "--disable-pip-version-check", *PINS]
    for command in make, fill:
        if subprocess.run(command).returncode != 0:
            sys.exit(f"this failed: {' '.join(command)}")
    open(os.path.join(where, "ready"), "w").close()


def prepare():
    """Two that come at once: the second waits, and finds it done."""
    where = environment()
    os.makedirs(os.path.dirname(where), exist_ok=True)
    with open(where + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_ready():
            install(where)


# ---- gRPC ----


def serve():
    """A server that answers every call with what it got. Prints its port."""
    from concurrent import futures

    import grpc

    class Echo(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: request)

    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Echo()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


def exporter(address, running):
    """What a metrics exporter or a logging client does, only without the pauses."""
    import grpc

    call = grpc.insecure_channel(address).unary_unary(CALL)
    while True:
        try:
            call(b"x", wait_for_ready=True)
        except grpc.RpcError:
            pass  # at the end: the server is gone first
        running.set()


def start_exporters():
    server = subprocess.Popen(
        [sys.executable, __file__, "repro", "cleanlab-fork", "serve"], stdout=subprocess.PIPE
    )
    address = "127.0.0.1:" + server.stdout.readline().decode().strip()
    for _ in range(EXPORTERS):
        running = threading.Event()
        threading.Thread(target=exporter, args=(address, running), daemon=True).start()
        running.wait()


# ---- cleanlab ----


def make_data(samples):
    """Three classes, and probabilities that mostly agree with the labels."""
    import numpy

    rng = numpy.random.default_rng(7)
    labels = rng.integers(0, 3, samples)
    probabilities = rng.dirichlet([1, 1, 1], samples) + 1.5 * numpy.eye(3)[labels]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    swapped = rng.random(samples) < 0.1
    labels[swapped] = (labels[swapped] + 1) % 3
    return labels, probabilities


def find_issues(jobs, samples):
    """The call of the incident. With one job it must not fork: that is the fix, and it is checked."""
    import multiprocessing

    from cleanlab.filter import find_label_issues

    labels, probabilities = make_data(samples)
    forks = []
    os.register_at_fork(before=lambda: forks.append(1))
    multiprocessing.set_start_method("fork", force=True)  # the default before Python 3.14
    tell(
        "cleanlab_find_issues_start",
        n_jobs=jobs,
        backend="single_process" if jobs == 1 else "multiprocessing_fork",
        reason="fork_safety" if jobs == 1 else "reproducer",
    )
    tell("child_start")
    began = time.perf_counter()
    issues = find_label_issues(labels, probabilities, n_jobs=jobs)
    seconds = round(time.perf_counter() - began, 4)
    tell("cleanlab_find_issues_end", seconds=seconds, issues=int(issues.sum()), forks=len(forks))
    if (len(forks) > 0) != (jobs > 1):
        sys.exit(f"n_jobs={jobs} made {len(forks)} forks")


# ---- cases ----


def cases(options):
    """What there is to see in this arm."""
    one = options.jobs == 1
    if options.start_method == "spawn":
        return [
            {
                "name": "fresh-process",
                "about": f"the parent has the channel; find_label_issues(n_jobs={options.jobs}) "
                "runs in a process that was spawned and has none",
                "expect": "pass",
            }
        ]
    what = f"threads of the parent are making calls; find_label_issues(n_jobs={options.jobs})"
    forks = "" if one else " forks a pool whose processes never touch gRPC"
    plain = {"name": "plain", "about": what + forks, "expect": "pass"}
    support = {
        "name": "fork-support",
        "about": f"{what}{forks}; {FORK_SUPPORT}=1 is set",
        "expect": "pass" if one else "hang",
    }
    if options.backstop:
        return [{**support, "name": "backstop"}]
    return [plain, support]


def describe(options):
    if GIVEN:
        check_given()
    says = {
        "summary": "a live gRPC channel, and cleanlab's find_label_issues",
        "cases": cases(options),
    }
    if not is_ready():
        says["prepare"] = (
            f"cleanlab-fork needs packages from PyPI; it installs them into {environment()}: "
            + " ".join(PINS)
        )
    print(json.dumps(says))


def run(options):
    if options.case == "fork-support":
        os.environ[FORK_SUPPORT] = "1"
    start_exporters()
    if options.case != "fresh-process":
        find_issues(options.jobs, options.samples)
        return 0
    words = ["child", "fresh-process", f"--jobs={options.jobs}", f"--samples={options.samples}"]
    argv = [sys.executable, __file__, "repro", "cleanlab-fork", *words]
    return os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn(argv[0], argv, os.environ), 0)[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("repro")
    parser.add_argument("name")
    parser.add_argument("what", choices=["describe", "prepare", "run", "serve", "child"])
    parser.add_argument("case", nargs="?")
    parser.add_argument("--start-method", choices=["fork", "spawn"], default="fork")
    parser.add_argument("--backstop", action="store_true")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--samples", type=int, default=2000)
    options = parser.parse_args()
    if options.what == "describe":
        return describe(options)
    if options.what == "prepare":
        return prepare()
    enter()
    if options.what == "serve":
        return serve()
    return run(options) if options.what == "run" else find_issues(options.jobs, options.samples)


if __name__ == "__main__":
    sys.exit(main())
