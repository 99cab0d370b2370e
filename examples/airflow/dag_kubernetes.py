"""A sweep as a Kubernetes pod in which forkless is PID 1.

The image is that of docker/Dockerfile; the sweep's spec comes from a ConfigMap, its store and
run directory live on a volume claim. See README.md beside this file for the exit codes.
"""

from datetime import timedelta

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG
from kubernetes.client import models as k8s

JOB = "forkless-sweep"

with DAG(
    dag_id="forkless_kubernetes",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    tags=["forkless"],
):
    KubernetesPodOperator(
        task_id="sweep",
        name=JOB,
        namespace="sweeps",
        image="forkless:0.1.0",
        arguments=["run", "--json", "/sweep/sweep.yaml"],  # after the image's ENTRYPOINT
        # Airflow adds dag_id itself; said here as well, so that `kubectl delete pod -l dag_id=…` and
        # `-l job=…` both work on pods that something else started from this template.
        labels={"dag_id": "forkless_kubernetes", "job": JOB},
        env_vars={
            # There is no AIRFLOW_CTX_* in a pod: pass what the sweep should know.
            "AIRFLOW_CTX_DAG_ID": "{{ dag.dag_id }}",
            "AIRFLOW_CTX_DAG_RUN_ID": "{{ run_id }}",
        },
        # The spec sets `report: {xcom: true}`: the result is written to the sidecar's file.
        do_xcom_push=True,
        skip_on_exit_code=99,
        retries=3,
        retry_delay=timedelta(minutes=1),
        # From SIGTERM to SIGKILL. The spec's watch.grace must be shorter.
        termination_grace_period=30,
        on_finish_action="delete_succeeded_pod",  # failed pods stay for their logs
        container_resources=k8s.V1ResourceRequirements(
            requests={"cpu": "2", "memory": "4Gi"},
            limits={"cpu": "2", "memory": "4Gi"},  # jobs: auto follows the CPU limit
        ),
        security_context=k8s.V1PodSecurityContext(
            run_as_non_root=True,
            run_as_user=10001,
            run_as_group=10001,
            fs_group=10001,
            seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
        ),
        container_security_context=k8s.V1SecurityContext(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=k8s.V1Capabilities(drop=["ALL"]),
        ),
        volumes=[
            k8s.V1Volume(name="sweep", config_map=k8s.V1ConfigMapVolumeSource(name=JOB)),
            k8s.V1Volume(
                name="work",
                persistent_volume_claim=k8s.V1PersistentVolumeClaimVolumeSource(claim_name=JOB),
            ),
        ],
        volume_mounts=[
            k8s.V1VolumeMount(name="sweep", mount_path="/sweep", read_only=True),
            k8s.V1VolumeMount(name="work", mount_path="/work"),
        ],
    )
