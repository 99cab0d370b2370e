"""Optuna's workers and forkless on one study of a PostgreSQL server. Usage: shared_study.py FORKLESS

Run by with_postgres."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
import warnings

import optuna
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import TrialState

from databases import HERE, query, url

FORKLESS = sys.argv[1]
TOOL = os.path.join(os.path.dirname(FORKLESS), "store_tool")
RETRY = RetryHeartbeatStaleTrialCallback

COLUMNS = """SELECT table_name, column_name, ordinal_position, data_type, udt_name, is_nullable,
 character_maximum_length, column_default FROM information_schema.columns
 WHERE table_schema='public' ORDER BY 1, 3"""
CONSTRAINTS = """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
 WHERE connamespace='public'::regnamespace ORDER BY 1, 2"""
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname='public' ORDER BY 1, 2"
ENUMS = """SELECT typname, enumlabel FROM pg_enum JOIN pg_type t ON t.oid=enumtypid
 ORDER BY typname, enumsortorder"""
SEQUENCES = """SELECT sequencename, data_type, start_value, increment_by, cache_size FROM pg_sequences
 WHERE schemaname='public' ORDER BY 1"""
ROWS = "SELECT schema_version, library_version, version_num FROM version_info, alembic_version"


def run(name: str, study: str, trials: int, script: str, *options: str) -> subprocess.Popen:
    return subprocess.Popen(
        [FORKLESS, "run", "--storage", url(name), "--dir", f"{HERE.name}/{name}{time.monotonic_ns()}",
         "--study", study, "--metric", "loss", "-n", str(trials), "--sampler", "random",
         "report.heartbeat=1s", *options, "x=float:0..1", "--", "/bin/sh", "-c", script],
        stdout=subprocess.DEVNULL, stderr=open(f"{HERE.name}/err", "a"),
    )


def the_schema_is_optunas() -> None:
    RDBStorage(url("theirs"))
    subprocess.run([TOOL, url("ours"), "make", "s"], check=True)
    for sql in (COLUMNS, CONSTRAINTS, INDEXES, ENUMS, SEQUENCES, ROWS):
        ours, theirs = query("ours", sql), query("theirs", sql)
        assert ours and ours == theirs, sorted(map(str, set(ours) ^ set(theirs)))


def create(address: str) -> None:
    for _ in range(20):  # Optuna's own creation loses races against itself
        try:
            RDBStorage(address)
            return
        except Exception:
            time.sleep(0.05)
    raise SystemExit(1)


def both_may_come_first() -> None:
    for i in range(4):
        address = url(f"first{i}")
        others = [multiprocessing.Process(target=create, args=(address,)) for _ in range(2)]
        for other in others:
            other.start()
        tools = [subprocess.Popen([TOOL, address, "make", f"s{k}"]) for k in range(3)]
        assert [tool.wait() for tool in tools] == [0, 0, 0]
        for other in others:
            other.join()
            assert other.exitcode == 0
        assert query(f"first{i}", ROWS) == [(12, "5.0.0", "v3.2.0.a")]


def objective(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", 0, 1)
    trial.report(x, 0)
    trial.set_user_attr("by", "python")
    return x


def work(address: str, trials: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = RDBStorage(address, heartbeat_interval=5, grace_period=60)
    optuna.load_study(study_name="both", storage=storage).optimize(objective, n_trials=trials)


def all_work_on_one_study() -> None:
    address = url("both")
    study = optuna.create_study(study_name="both", storage=address)
    for i in range(40):
        study.enqueue_trial({"x": i / 100})
    log = f"{HERE.name}/started"
    ours = [run("both", "both", 160, f"echo $FORKLESS_TRIAL >> {log}; echo loss=0.5", "-j2") for _ in range(3)]
    theirs = [multiprocessing.Process(target=work, args=(address, 25)) for _ in range(2)]
    for worker in theirs:
        worker.start()
    for worker in theirs:
        worker.join()
        assert worker.exitcode == 0
    assert [o.wait() for o in ours] == [0, 0, 0]
    trials = study.get_trials(deepcopy=False)
    by_python = [t.number for t in trials if t.user_attrs.get("by") == "python"]
    started = [int(line) for line in open(log)]
    assert [t.number for t in trials] == list(range(len(trials)))
    assert all(t.state == TrialState.COMPLETE for t in trials), {t.state for t in trials}
    assert len(trials) >= 160 and len(by_python) == 50
    assert sorted(started + by_python) == list(range(len(trials)))  # each was run once, by one
    assert [t.params["x"] for t in trials[:40]] == [i / 100 for i in range(40)]


def who_is_silent_is_failed_and_tried_again() -> None:
    """A forkless that is killed, found by Optuna; its own retry callback continues the lineage."""
    warnings.simplefilter("ignore")
    storage = RDBStorage(url("stale"), heartbeat_interval=1, grace_period=3,
                         failed_trial_callback=RETRY(max_retry=3))
    study = optuna.create_study(study_name="s", storage=storage)
    hung = run("stale", "s", 1, "sleep 600", "-j1")
    for _ in range(300):
        if query("stale", "SELECT 1 FROM trial_heartbeats"):
            break
        time.sleep(0.1)
    hung.send_signal(signal.SIGSTOP)  # a frozen pod: it will wake up and find its trial gone
    for _ in range(300):
        optuna.storages.fail_stale_trials(study)
        if study.get_trials(deepcopy=False)[0].state == TrialState.FAIL:
            break
        time.sleep(0.2)
    first, second = study.get_trials(deepcopy=False)
    assert first.state == TrialState.FAIL and second.state == TrialState.WAITING
    assert RETRY.retried_trial_number(second) == 0 and RETRY.retry_history(second) == [0]
    assert second.params == first.params
    finished = run("stale", "s", 1, "echo loss=1", "-j1")
    assert finished.wait() == 0
    hung.send_signal(signal.SIGCONT)
    hung.send_signal(signal.SIGTERM)
    hung.wait()
    states = [t.state for t in study.get_trials(deepcopy=False)]
    assert states[:2] == [TrialState.FAIL, TrialState.COMPLETE], states
    assert study.trials[1].value == 1


def what_forkless_gives_up_optuna_understands() -> None:
    """The same the other way: a Python worker that was killed, long ago by its heartbeat."""
    study = optuna.create_study(study_name="s", storage=url("lost"))
    trial = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    query("lost", "INSERT INTO trial_heartbeats(trial_id, heartbeat)"
                  f" VALUES ({trial._trial_id}, now()::timestamp - interval '1 day')")
    assert run("lost", "s", 2, "echo loss=1", "-j1").wait() == 0
    trials = study.get_trials(deepcopy=False)
    assert [t.state.name for t in trials] == ["FAIL", "COMPLETE", "COMPLETE"], trials
    retried = [t for t in trials if RETRY.retried_trial_number(t) == 0]
    assert len(retried) == 1 and RETRY.retry_history(retried[0]) == [0]
    assert retried[0].params == {"x": trial.params["x"]}


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    multiprocessing.set_start_method("spawn")
    for check in (
        the_schema_is_optunas,
        both_may_come_first,
        all_work_on_one_study,
        who_is_silent_is_failed_and_tried_again,
        what_forkless_gives_up_optuna_understands,
    ):
        check()
        print(f"ok {check.__name__}", flush=True)


if __name__ == "__main__":
    main()
