"""Is a study consistent? Reads the tables with SQL of its own, without forkless and Optuna.

    checker.py URL STUDY [--target N] [--claims FILE]

URL: sqlite:///FILE or postgresql://…  With --target the study has to have exactly so many
COMPLETE trials and none that runs or waits. --claims: lines "NUMBER WORKER start|end" that workers wrote
about what they ran; then no trial may have been started twice at the same time, and each COMPLETE
one has to have a run behind it. Exit 0: consistent; 1: not, a line for each reason.
"""

import argparse
import json
import sys
from collections import Counter, defaultdict
from datetime import datetime

STATES = {"RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING"}
FINISHED = {"COMPLETE", "PRUNED", "FAIL"}
CHILDREN = (
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_heartbeats",
)


class Database:
    """Rows of a query, as tuples, from one snapshot."""

    def __init__(self, url: str) -> None:
        if url.startswith("sqlite"):
            import sqlite3

            self.connection = sqlite3.connect(url.split(":///", 1)[1], timeout=60)
            self.connection.isolation_level = None
            self.connection.execute("BEGIN")
            self.mark = "?"
        else:
            import psycopg2

            self.connection = psycopg2.connect(url.replace("+psycopg2", "", 1))
            self.connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            self.mark = "%s"

    def rows(self, sql: str, *args) -> list:
        cursor = self.connection.cursor()
        cursor.execute(sql.replace("?", self.mark), args)
        return cursor.fetchall()


def moment(value) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    return datetime.fromisoformat(value)


class Checker:
    def __init__(self, db: Database, study: str) -> None:
        self.db = db
        self.problems: list[str] = []
        found = db.rows("SELECT study_id FROM studies WHERE study_name = ?", study)
        if len(found) != 1:
            sys.exit(f"there are {len(found)} studies '{study}'")
        self.study = found[0][0]
        self.trials = db.rows(
            "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials"
            " WHERE study_id = ? ORDER BY trial_id",
            self.study,
        )
        self.state = {t[0]: t[2] for t in self.trials}
        self.number = {t[0]: t[1] for t in self.trials}

    def wrong(self, text: str) -> None:
        self.problems.append(text)

    def of_study(self, table: str, columns: str) -> list:
        return self.db.rows(
            f"SELECT c.trial_id, {columns} FROM {table} c JOIN trials t ON t.trial_id = c.trial_id"
            " WHERE t.study_id = ?",
            self.study,
        )

    def numbers_are_whole(self) -> None:
        numbers = [t[1] for t in self.trials]
        if sorted(n for n in numbers if n is not None) != list(range(len(numbers))):
            twice = [n for n, c in Counter(numbers).items() if c > 1]
            gaps = sorted(set(range(len(numbers))) - set(numbers))
            self.wrong(f"numbers are not 0 … {len(numbers) - 1}: double {twice}, missing {gaps}")
        if numbers != sorted(numbers):
            self.wrong("numbers are not in the order of the ids: readers of news miss trials")

    def states_fit_times(self) -> None:
        for trial_id, number, state, start, complete in self.trials:
            if state not in STATES:
                self.wrong(f"trial {number}: state {state!r}")
            has = (start is not None, complete is not None)
            wanted = {"WAITING": (False, False), "RUNNING": (True, False)}.get(state, (True, True))
            if has != wanted:
                self.wrong(
                    f"trial {number} (id {trial_id}) is {state}: start {start}, end {complete}"
                )
            elif state in FINISHED and moment(complete) < moment(start):
                self.wrong(f"trial {number} ended before it started")

    def values_fit_states(self) -> None:
        directions = self.db.rows(
            "SELECT objective FROM study_directions WHERE study_id = ? ORDER BY objective",
            self.study,
        )
        if not directions or [d[0] for d in directions] != list(range(len(directions))):
            self.wrong(f"directions {directions}")
        values = defaultdict(list)
        for trial_id, objective, value, kind in self.of_study(
            "trial_values", "c.objective, c.value, c.value_type"
        ):
            values[trial_id].append(objective)
            if kind not in ("FINITE", "INF_POS", "INF_NEG") or (kind == "FINITE") != (
                value is not None
            ):
                self.wrong(f"trial {self.number[trial_id]}: value {value} of type {kind}")
        for trial_id, state in self.state.items():
            n = len(values[trial_id])
            if state == "COMPLETE" and sorted(values[trial_id]) != list(range(len(directions))):
                self.wrong(
                    f"trial {self.number[trial_id]} is COMPLETE with objectives {values[trial_id]}"
                )
            if state in ("FAIL", "RUNNING", "WAITING") and n > 0:
                self.wrong(f"trial {self.number[trial_id]} is {state} and has {n} values")

    def children_fit(self) -> None:
        for table in CHILDREN:
            lost = self.db.rows(
                f"SELECT count(*) FROM {table} c LEFT JOIN trials t ON t.trial_id = c.trial_id"
                " WHERE t.trial_id IS NULL"
            )[0][0]
            if lost:
                self.wrong(f"{table}: {lost} rows without their trial")
        for table, key in (
            ("trial_params", "param_name"),
            ("trial_intermediate_values", "step"),
            ("trial_user_attributes", "key"),
            ("trial_system_attributes", "key"),
        ):
            seen = Counter((r[0], r[1]) for r in self.of_study(table, f"c.{key}"))
            for (trial_id, name), n in seen.items():
                if n > 1:
                    self.wrong(f"{table}: trial {self.number[trial_id]} has {name!r} {n} times")
        for trial_id, value, kind in self.of_study(
            "trial_intermediate_values", "c.intermediate_value, c.intermediate_value_type"
        ):
            if (kind == "FINITE") != (value is not None):
                self.wrong(f"trial {self.number[trial_id]}: step value {value} of type {kind}")

    def texts_are_json(self) -> None:
        kinds = defaultdict(set)
        for trial_id, name, text in self.of_study(
            "trial_params", "c.param_name, c.distribution_json"
        ):
            try:
                d = json.loads(text)
                kinds[name].add((d["name"], d["attributes"].get("log")))
            except (ValueError, KeyError, TypeError):
                self.wrong(f"trial {self.number[trial_id]}: distribution of {name!r}: {text!r}")
        for name, found in kinds.items():
            if len(found) > 1:
                self.wrong(f"parameter {name!r} is of several kinds: {sorted(found, key=str)}")
        for table in ("trial_user_attributes", "trial_system_attributes"):
            for trial_id, key, text in self.of_study(table, "c.key, c.value_json"):
                try:
                    json.loads(text)
                except ValueError:
                    self.wrong(f"trial {self.number[trial_id]}: {table} {key!r}: {text!r}")

    def retries_have_a_lineage(self) -> None:
        """A retry names failed trials that are there, and no failed trial has two retries."""
        by_number = {t[1]: t for t in self.trials}
        retried = Counter()
        for trial_id, key, text in self.of_study("trial_system_attributes", "c.key, c.value_json"):
            if key != "retry_history":
                continue
            history = json.loads(text)
            retried[history[-1]] += 1
            for number in history:
                if number not in by_number or by_number[number][2] != "FAIL":
                    self.wrong(
                        f"trial {self.number[trial_id]} retries {number}, which did not fail"
                    )
        for number, n in retried.items():
            if n > 1:
                self.wrong(f"trial {number} was queued again {n} times")

    def target_is_exact(self, target: int) -> None:
        counts = Counter(self.state.values())
        if counts["COMPLETE"] != target or counts["RUNNING"] or counts["WAITING"]:
            self.wrong(f"wanted exactly {target} COMPLETE trials and no open ones: {dict(counts)}")

    def runs_fit(self, path: str) -> None:
        started, ended = Counter(), Counter()
        with open(path, encoding="utf-8") as f:
            for line in f:
                number, _, what = line.split()
                (started if what == "start" else ended)[int(number)] += 1
        for number, n in started.items():
            if n > 1:
                self.wrong(f"trial {number} was started {n} times")
        for _, number, state, *_ in self.trials:
            if state == "COMPLETE" and ended[number] == 0:
                self.wrong(f"trial {number} is COMPLETE and nobody finished it")
        lost = sum(
            n for number, n in ended.items() if self.state_of(number) not in ("COMPLETE", "PRUNED")
        )
        print(
            f"runs: {sum(started.values())} started, {sum(ended.values())} finished, "
            f"{lost} finished and not COMPLETE (their executor was killed or robbed first)"
        )

    def state_of(self, number: int) -> str | None:
        return next((t[2] for t in self.trials if t[1] == number), None)


def main() -> None:
    parser = argparse.ArgumentParser(description="Is a study consistent?")
    parser.add_argument("url")
    parser.add_argument("study")
    parser.add_argument("--target", type=int)
    parser.add_argument("--claims")
    args = parser.parse_args()
    checker = Checker(Database(args.url), args.study)
    checker.numbers_are_whole()
    checker.states_fit_times()
    checker.values_fit_states()
    checker.children_fit()
    checker.texts_are_json()
    checker.retries_have_a_lineage()
    if args.target is not None:
        checker.target_is_exact(args.target)
    if args.claims is not None:
        checker.runs_fit(args.claims)
    counts = Counter(checker.state.values())
    print(f"{args.study}: {len(checker.trials)} trials, {dict(counts)}")
    for problem in checker.problems[:50]:
        print(f"WRONG {problem}")
    if len(checker.problems) > 50:
        print(f"WRONG … and {len(checker.problems) - 50} more")
    sys.exit(1 if checker.problems else 0)


if __name__ == "__main__":
    main()
