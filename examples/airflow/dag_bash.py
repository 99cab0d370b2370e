"""A sweep as an Airflow task on a worker that has forkless installed.

The task fails, retries and continues by forkless's exit codes: see README.md beside this file.
"""

import json
import os
from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param, task

# BashOperator runs in a temporary directory that it deletes: what must last needs an absolute path.
WORK = os.environ.get("FORKLESS_WORK", "/var/lib/forkless")

with DAG(
    dag_id="forkless_bash",
    schedule=None,
    catchup=False,
    max_active_runs=1,  # a second run would only wait for the first one's trials
    params={"spec": Param(f"{WORK}/demo.yaml", type="string")},
    tags=["forkless"],
):
    # The spec travels as an environment variable, so nothing of it is read by the shell.
    common = {"env": {"SPEC": "{{ params.spec }}"}, "append_env": True, "cwd": WORK}

    # A mistake in the spec fails here, at once and for good; a retry could not mend it.
    check = BashOperator(
        task_id="check",
        bash_command='exec forkless check "$SPEC"',
        retries=0,
        do_xcom_push=False,
        **common,
    )

    # exec: forkless itself leads the process group that Airflow signals. A retry continues the
    # study, so trials that are done are never repeated.
    sweep = BashOperator(
        task_id="sweep",
        bash_command='exec forkless run --json "$SPEC"',
        retries=3,
        retry_delay=timedelta(minutes=1),
        execution_timeout=timedelta(hours=3),
        skip_on_exit_code=99,
        output_processor=json.loads,  # the last line of the output is the result
        **common,
    )

    @task
    def report(result: dict) -> None:
        print(json.dumps(result, indent=2))

    check >> sweep
    report(sweep.output)
