"""The proxy before unchanged Optuna clients: Optuna's own storage tests, samplers, two servers on one
database, kills and restarts, and clients that misbehave. Usage: test_proxy.py FORKLESS_SERVE"""

import contextlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import warnings

try:
    import grpc
    import optuna
    import pytest
    from optuna.storages._grpc.auto_generated import api_pb2, api_pb2_grpc
except ImportError as e:
    print(f"skipped: {e}; ./dev test installs what is missing")
    sys.exit(77)

from optuna.storages import GrpcStorageProxy, RDBStorage
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState

SERVE = os.environ.get("FORKLESS_SERVE") or os.path.abspath(sys.argv[1])
warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)


class Server:
    """forkless-serve on a port of its own."""

    def __init__(self, url, *args, listen="127.0.0.1:0", env=None):
        self.process = subprocess.Popen(
            [SERVE, "--storage", url, "--listen", listen, *args],
            stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        first = self.process.stderr.readline()
        if not first.startswith("{"):
            self.process.wait(20)
            raise RuntimeError(first)
        self.told = json.loads(first)
        self.port = self.told["port"]

    def client(self):
        storage = GrpcStorageProxy(host="127.0.0.1", port=self.port)
        storage.wait_server_ready(20)
        return storage

    def channel(self):
        return grpc.insecure_channel(f"127.0.0.1:{self.port}")

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        self.process.stderr.read()
        return self.process.wait(30)


@contextlib.contextmanager
def serving(url, *args, **kw):
    server = Server(url, *args, **kw)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


def raw_call(port, path, message, headers=(), body=True):
    """A call written byte by byte, for what gRPC's clients do not send; the messages of the reply as they came."""

    def frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    def literal(name, value):
        return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value

    def exactly(n):
        got = b""
        while len(got) < n:
            part = s.recv(n - len(got))
            assert part, "the server hung up"
            got += part
        return got

    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
              ("te", "trailers"), ("content-type", "application/grpc"), *headers]
    block = b"".join(literal(k.encode(), v.encode()) for k, v in fields)
    payload = struct.pack(">BI", 0, len(message)) + message
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 4, 1, block))
        if body:
            s.sendall(frame(0, 1, 1, payload))
        data = b""
        while True:
            head = exactly(9)
            content = exactly(int.from_bytes(head[:3], "big"))
            if head[3] == 0:
                data += content
            if head[3] == 3 or (head[5:] == b"\0\0\0\1" and head[4] & 1):
                return data


@pytest.fixture
def folder():
    path = tempfile.mkdtemp(prefix="forkless-proxy-")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def url(folder):
    """A store of the test's own: a file, or a database of the server that $FORKLESS_TEST_PG names."""
    server = os.environ.get("FORKLESS_TEST_PG")
    if server is None:
        return f"sqlite:///{folder}/s.db"
    import psycopg2

    name = f"p{time.monotonic_ns()}"
    at = psycopg2.connect(host=server, user="forkless", dbname="postgres")
    at.autocommit = True
    at.cursor().execute(f"CREATE DATABASE {name} TEMPLATE template0")
    at.close()
    return f"postgresql+psycopg2://forkless@/{name}?host={server}"


class TestOptunasOwn(StorageTestCase):
    @pytest.fixture
    def storage(self, url):
        server = Server(url)
        storage = server.client()
        yield storage
        storage.close()
        assert server.stop() == 0

    def test_get_all_trials_params_order(self):
        """The protocol's maps have no order: Optuna's client fails this with its own server as well."""


def objective(trial):
    x = trial.suggest_float("x", -5, 5)
    y = trial.suggest_int("η", 1, 64, log=True)
    kind = trial.suggest_categorical("kind", ["a", None, 1.5, True])
    for step in range(3):
        trial.report(x * x + step, step)
        if trial.should_prune():
            raise optuna.TrialPruned()
    trial.set_user_attr("mixed", {"kind": kind, "nan": float("nan"), "text": "\U0001f600"})
    return x * x + y


# Not those whose draws depend on the order of a trial's parameters, which Optuna's client loses.
SAMPLERS = {
    "random": lambda: optuna.samplers.RandomSampler(seed=1),
    "tpe": lambda: optuna.samplers.TPESampler(seed=1, n_startup_trials=5),
    "nsga": lambda: optuna.samplers.NSGAIISampler(seed=1, population_size=5),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_find_the_same_as_without_a_proxy(url, name):
    with serving(url) as server:
        there = optuna.create_study(storage=server.client(), sampler=SAMPLERS[name](),
                                    pruner=optuna.pruners.MedianPruner(n_startup_trials=3))
        there.optimize(objective, n_trials=20)
        here = optuna.create_study(sampler=SAMPLERS[name](),
                                   pruner=optuna.pruners.MedianPruner(n_startup_trials=3))
        here.optimize(objective, n_trials=20)
        direct = optuna.load_study(study_name=there.study_name,
                                   storage=RDBStorage(url))
        for a, b, c in zip(there.trials, here.trials, direct.trials):
            assert a.params == b.params == c.params
            assert a.values == b.values == c.values and a.state == b.state == c.state
            assert a.intermediate_values == b.intermediate_values == c.intermediate_values
            assert repr(a.user_attrs) == repr(b.user_attrs) == repr(c.user_attrs)


def test_several_objectives_and_enqueued_trials(url):
    with serving(url) as server:
        study = optuna.create_study(storage=server.client(), directions=["minimize", "maximize"])
        study.enqueue_trial({"x": 0.5})
        study.optimize(lambda t: (t.suggest_float("x", 0, 1), float("inf")), n_trials=3)
        assert study.trials[0].params == {"x": 0.5}
        assert study.trials[0].values == [0.5, float("inf")]
        assert [t.number for t in study.trials] == [0, 1, 2]
        optuna.delete_study(study_name=study.study_name, storage=server.client())
        assert optuna.get_all_study_names(server.client()) == []


def test_a_second_server_and_a_restart_know_what_the_first_did(url):
    with serving(url) as a, serving(url) as b:
        ca, cb = a.client(), b.client()
        study = ca.create_new_study([optuna.study.StudyDirection.MINIMIZE], "s")
        space = optuna.distributions.FloatDistribution(0, 1)
        trial = ca.create_new_trial(study)
        cb.set_trial_param(trial, "x", 0.5, space)  # b has never seen it
        with pytest.raises(ValueError):
            ca.set_trial_param(trial, "x", 1, optuna.distributions.IntDistribution(0, 1))
        cb.set_trial_state_values(trial, TrialState.COMPLETE, [1.0])
        with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
            ca.set_trial_user_attr(trial, "k", 1)
        open_trial = cb.create_new_trial(study)
        a.stop(signal.SIGKILL)
        b.stop(signal.SIGKILL)
        with serving(url) as c:
            cc = c.client()
            cc.set_trial_param(open_trial, "x", 0.25, space)
            assert cc.get_trial(trial).value == 1.0
            assert [t.number for t in cc.get_all_trials(study)] == [0, 1]
            cc.delete_study(study)
            again = cc.create_new_study([optuna.study.StudyDirection.MINIMIZE], "s")
            assert cc.get_all_trials(again) == []


def test_a_queued_trial_is_claimed_by_one_of_many(url):
    with serving(url) as a, serving(url) as b:
        study = optuna.create_study(storage=a.client(), study_name="s")
        for _ in range(40):
            study.enqueue_trial({"x": 0.5})
        won = []

        def claim(server):
            storage = server.client()
            for trial in storage.get_all_trials(study._study_id, deepcopy=False):
                with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
                    if storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING):
                        won.append(trial.number)

        threads = [threading.Thread(target=claim, args=(s,)) for s in (a, b) * 3]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert sorted(won) == list(range(40))


def test_what_was_answered_survives_kill_9(url):
    with serving(url) as server:
        storage = server.client()
        study = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "s")
        answered = []

        def work(client):
            with contextlib.suppress(grpc.RpcError):
                while True:
                    trial = client.create_new_trial(study)
                    client.set_trial_state_values(trial, TrialState.COMPLETE, [float(trial)])
                    answered.append(trial)

        threads = [threading.Thread(target=work, args=(server.client(),)) for _ in range(4)]
        [t.start() for t in threads]
        while len(answered) < 100:
            time.sleep(0.01)
        server.stop(signal.SIGKILL)
        [t.join() for t in threads]
    with serving(url) as server:
        trials = {t._trial_id: t for t in server.client().get_all_trials(study)}
        assert all(trials[i].values == [float(i)] for i in answered)
        assert sorted(t.number for t in trials.values()) == list(range(len(trials)))


def test_health_reflection_and_unknown_methods(folder):
    with serving(f"sqlite:///{folder}/s.db") as server, server.channel() as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(b"") == b"\x08\x01"
        assert check(b"\x0a\x15optuna.StorageService") == b"\x08\x01"
        with pytest.raises(grpc.RpcError) as e:
            check(b"\x0a\x04nope")
        assert e.value.code() == grpc.StatusCode.NOT_FOUND
        for version in ("v1", "v1alpha"):
            info = channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
            replies = list(info(iter([b"\x3a\x00", b"\x22\x0coptuna.Trial", b"\x1a\x04nope"])))
            assert b"optuna.StorageService" in replies[0]
            assert b"CreateNewTrialRequest" in replies[1] and b"api.proto" in replies[1]
            assert b"no such file" in replies[2]
        for method in ("/optuna.StorageService/Nope", "/a/b"):
            with pytest.raises(grpc.RpcError) as e:
                channel.unary_unary(method)(b"", timeout=20)
            assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert next(watch) == b"\x08\x01"
        left = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert next(left) == b"\x08\x01"
        left.cancel()
        assert server.stop() == 0
        assert next(watch) == b"\x08\x02"  # NOT_SERVING
        assert list(watch) == []


def test_reflection_knows_what_is_there_alone(folder):
    there = ["optuna.StorageService", "optuna.StorageService.GetTrial", "optuna.Trial", "optuna.TrialState",
             "optuna.Trial.trial_id", "optuna.Trial.ParamsEntry.value",
             "grpc.health.v1.HealthCheckResponse.ServingStatus",
             "grpc.reflection.v1alpha.ServerReflection"]
    absent = ["optuna.Nonsense", "optuna.", "optuna", "", "optuna.Tri", "optuna.Trial.", "optuna.Trial.nope",
              "optuna.StorageService.Nope", "optuna.TrialState.more", "grpc.health.v1.Nope", "Trial"]
    with serving(f"sqlite:///{folder}/s.db") as server, server.channel() as channel:
        info = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        replies = info(iter([b"\x22" + bytes([len(name)]) + name.encode() for name in there + absent]),
                       timeout=20)
        found = {name: b"no such file" not in reply for name, reply in zip(there + absent, replies)}
        assert found == {name: name in there for name in there + absent}


def test_a_health_watch_without_a_request_is_refused(folder):
    with serving(f"sqlite:///{folder}/s.db") as server, server.channel() as channel:
        with pytest.raises(grpc.RpcError) as e:
            list(channel.stream_stream("/grpc.health.v1.Health/Watch")(iter([]), timeout=20))
        assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_deadline_in_ten_thousand_years_is_none(folder):
    with serving(f"sqlite:///{folder}/s.db") as server:
        for timeout in "99999999H", "99999999M", "2562047H", "2562048H", "1H":
            reply = raw_call(server.port, "/optuna.StorageService/GetAllStudies", b"",
                             [("grpc-timeout", timeout)])
            assert reply == bytes(5), timeout


# 2^32 ms and one: what is no more than a moment to who counts in an int
@pytest.mark.parametrize("drain", ["10s", "4294967297ms"])
def test_sigterm_lets_calls_end_and_takes_no_new_ones(folder, drain):
    url = f"sqlite:///{folder}/s.db"
    with serving(url, "--drain", drain) as server:
        storage = server.client()
        study = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "s")
        import sqlite3

        other = sqlite3.connect(f"{folder}/s.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        answers = []
        thread = threading.Thread(target=lambda: answers.append(storage.create_new_trial(study)))
        thread.start()
        metrics_wait = time.monotonic() + 20
        time.sleep(0.3)  # the call is with the store, which waits for the lock
        server.process.send_signal(signal.SIGTERM)
        assert json.loads(server.process.stderr.readline())["event"] == "serve_draining"
        time.sleep(0.1)
        other.execute("COMMIT")
        thread.join()
        assert server.process.wait(20) == 0 and time.monotonic() < metrics_wait
        assert len(answers) == 1
        with pytest.raises(grpc.RpcError):
            storage.create_new_trial(study)


def test_a_locked_database_holds_up_writes_alone(folder):
    with serving(f"sqlite:///{folder}/s.db") as server, server.channel() as channel:
        storage = server.client()
        study = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "s")
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        import sqlite3

        other = sqlite3.connect(f"{folder}/s.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(storage.create_new_trial(study)))
                   for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)  # the calls are with the store, which waits for the lock
        for _ in range(50):
            assert check(b"", timeout=20) == b"\x08\x01"
            assert storage.get_study_name_from_id(study) == "s"
        assert answers == []
        other.execute("COMMIT")
        for thread in threads:
            thread.join()
        assert len(set(answers)) == 3
        assert len(storage.get_all_trials(study)) == 3


def test_messages_are_limited_where_asked(folder):
    url = f"sqlite:///{folder}/s.db"
    with serving(url) as server:  # 64 MiB, where Optuna's has 4
        storage = server.client()
        study = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "s")
        storage.set_study_user_attr(study, "big", "x" * (20 << 20))
        assert len(storage.get_study_user_attrs(study)["big"]) == 20 << 20
    with serving(url, "--max-message", "1MiB") as server:
        storage = server.client()
        with pytest.raises(grpc.RpcError) as e:
            storage.set_study_user_attr(study, "k", "x" * (2 << 20))
        assert e.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        storage.set_study_user_attr(study, "k", 1)


def certificates(folder):
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test ca", "-days", "2")
    for name in ("server", "client"):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        with open(f"{folder}/{name}.ext", "w") as f:
            f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", f"{name}.ext")
    return {n: open(f"{folder}/{n}", "rb").read() for n in ("ca.pem", "client.key", "client.pem")}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificates with openssl")
def test_tls_client_certificates_and_the_token(folder):
    pem = certificates(folder)
    with open(f"{folder}/token", "w") as f:
        f.write("correct-horse-battery\n")

    def call(channel, *metadata):
        with channel:
            stub = api_pb2_grpc.StorageServiceStub(channel)
            return stub.GetAllStudies(api_pb2.GetAllStudiesRequest(), metadata=metadata, timeout=20)

    def refusal(channel, *metadata):
        with pytest.raises(grpc.RpcError) as e:
            call(channel, *metadata)
        return e.value.code()

    with serving(f"sqlite:///{folder}/s.db", "--tls-cert", f"{folder}/server.pem", "--tls-key",
                 f"{folder}/server.key", "--token-file", f"{folder}/token") as server:
        at = f"127.0.0.1:{server.port}"

        def tls():
            return grpc.secure_channel(at, grpc.ssl_channel_credentials(pem["ca.pem"]))

        good = ("authorization", "Bearer correct-horse-battery")
        call(tls(), good)
        assert refusal(tls()) == grpc.StatusCode.UNAUTHENTICATED
        for wrong in ("Bearer correct-horse-batterz", "Bearer ", "correct-horse-battery",
                      "Bearer correct-horse-batterycorrect-horse-battery"):
            assert refusal(tls(), ("authorization", wrong)) == grpc.StatusCode.UNAUTHENTICATED
        assert refusal(grpc.insecure_channel(at), good) == grpc.StatusCode.UNAVAILABLE
        with tls() as channel:  # who probes has no token
            assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"") == b"\x08\x01"
        assert "correct-horse" not in open(f"/proc/{server.process.pid}/cmdline").read()
    with serving(f"sqlite:///{folder}/s.db", "--tls-cert", f"{folder}/server.pem", "--tls-key",
                 f"{folder}/server.key", "--tls-client-ca", f"{folder}/ca.pem") as server:
        at = f"127.0.0.1:{server.port}"
        call(grpc.secure_channel(at, grpc.ssl_channel_credentials(
            pem["ca.pem"], pem["client.key"], pem["client.pem"])))
        assert refusal(grpc.secure_channel(at, grpc.ssl_channel_credentials(pem["ca.pem"]))) == \
            grpc.StatusCode.UNAVAILABLE


def test_who_has_no_token_is_refused_before_the_request(folder):
    token = "correct-horse-battery"
    with serving(f"sqlite:///{folder}/s.db", env={"FORKLESS_PROXY_TOKEN": token}) as server:
        path = "/optuna.StorageService/GetAllStudies"
        assert raw_call(server.port, path, b"", body=False) == b""  # an answer, though no request comes
        assert raw_call(server.port, path, b"") == b""
        good = [("authorization", f"Bearer {token}")]
        assert raw_call(server.port, path, b"", good) == bytes(5)
        with server.channel() as channel:
            call = channel.stream_stream(path)(iter([]), metadata=good, timeout=20)
            with pytest.raises(grpc.RpcError) as e:
                list(call)
            assert e.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert server.stop() == 0


def test_an_address_is_a_host_and_a_port(folder):
    for listen, example in ("13001", "127.0.0.1:13001"), ("localhost", "127.0.0.1:13000"), \
            (":13001", "HOST:PORT"), ("127.0.0.1:70000", "HOST:PORT"), ("unix:", "unix:PATH"):
        with pytest.raises(RuntimeError, match=example):
            Server(f"sqlite:///{folder}/s.db", listen=listen)
    assert not os.path.exists(f"{folder}/s.db")


def test_a_store_that_was_not_there_is_told_to_be_new(folder):
    url = f"sqlite:///{folder}/s.db"
    for is_new in True, False:
        with serving(url) as server:
            assert server.told["new_store"] is is_new


def test_an_open_address_needs_tls_or_a_word(folder):
    url = f"sqlite:///{folder}/s.db"
    with pytest.raises(RuntimeError, match="--insecure"):
        Server(url, listen="0.0.0.0:0")
    with serving(url, "--insecure", listen="0.0.0.0:0") as server:
        server.client()
        with pytest.raises(RuntimeError, match="already in use"):
            Server(url, listen=f"127.0.0.1:{server.port}")
    with pytest.raises(RuntimeError, match="16 or more"):
        Server(url, env={"FORKLESS_PROXY_TOKEN": "short"})
    with pytest.raises(RuntimeError, match="visible ASCII"):
        Server(url, env={"FORKLESS_PROXY_TOKEN": "a token with its spaces"})
    token = "a-token-of-the-proxy"  # secrets in variables often end with a line end
    with serving(url, env={"FORKLESS_PROXY_TOKEN": token + "\n"}) as server:
        with server.channel() as channel:
            api_pb2_grpc.StorageServiceStub(channel).GetAllStudies(
                api_pb2.GetAllStudiesRequest(), metadata=[("authorization", f"Bearer {token}")],
                timeout=20)
    with pytest.raises(RuntimeError, match="no directory"):
        Server(f"sqlite:///{folder}/not/there/s.db")


def test_a_unix_socket_is_its_owners(folder):
    url, path = f"sqlite:///{folder}/s.db", f"{folder}/proxy.sock"
    with serving(url, listen=f"unix:{path}") as server:
        assert os.stat(path).st_mode & 0o777 == 0o700
        with grpc.insecure_channel(f"unix:{path}") as channel:
            stub = api_pb2_grpc.StorageServiceStub(channel)
            assert len(stub.GetAllStudies(api_pb2.GetAllStudiesRequest(), timeout=20).studies) == 0
        with pytest.raises(RuntimeError, match="another server"):
            Server(url, listen=f"unix:{path}")
        server.stop(signal.SIGKILL)
    with serving(url, listen=f"unix:{path}"):  # what a killed one left is taken over
        pass


def test_a_run_ends_each_of_its_trials_once(url, folder):
    forkless = os.path.join(os.path.dirname(SERVE), "forkless")
    with serving(url) as server:
        run = subprocess.run(
            [forkless, "run", "--json", "-n4", "-j2", "--study", "s", "--metric", "loss",
             "--storage", f"grpc://127.0.0.1:{server.port}", "--dir", f"{folder}/runs",
             "x=float:0..1", "--", "echo", "loss=${x}"],
            capture_output=True, text=True, timeout=120)
        assert run.returncode == 0, run.stderr
        events = [json.loads(line)["event"] for line in run.stderr.splitlines()]
        assert events.count("trial_end") == 4
        assert "trial_taken_over" not in events
        trials = server.client().get_all_trials(1)
        assert len(trials) == 4
        assert all(t.values == [t.params["x"]] for t in trials)


def test_metrics_count_from_the_start(url):
    with serving(url, "--metrics", "127.0.0.1:0") as server:
        def metrics():
            at = f"http://127.0.0.1:{server.told['metrics_port']}/metrics"
            with urllib.request.urlopen(at) as reply:
                return reply.read().decode()

        assert 'forkless_proxy_calls_total{method="GetTrial",status="OK"} 0' in metrics()
        with contextlib.suppress(KeyError):
            server.client().get_trial(1)
        assert 'forkless_proxy_calls_total{method="GetTrial",status="NOT_FOUND"} 1' in metrics()
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{server.told['metrics_port']}/")


def test_ten_thousand_connections_opened_and_dropped(folder):
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    openings = [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        os.urandom(200),
        preface[:10],
        preface + settings,
        preface + settings + b"\xff\xff\xff\x01\x05\x00\x00\x00\x01" + os.urandom(100),
        preface + settings + b"\x00\x00\x05\x01\x05\x00\x00\x00\x01\x82\x86\x84\x41\xff",
        preface + settings + b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8),
    ]
    with serving(f"sqlite:///{folder}/s.db") as server:
        storage = server.client()
        study = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "s")
        linger = []
        for i in range(10000):
            s = socket.create_connection(("127.0.0.1", server.port))
            with contextlib.suppress(OSError):
                s.sendall(openings[i % len(openings)])
            linger.append(s)
            if len(linger) > 64:
                linger.pop(0).close()
            if i % 1000 == 0:
                storage.create_new_trial(study)
        [s.close() for s in linger]
        assert len(storage.get_all_trials(study)) == 10
        deadline = time.monotonic() + 60
        fds = f"/proc/{server.process.pid}/fd"
        while len(os.listdir(fds)) > 100 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(os.listdir(fds)) <= 100
        assert server.stop() == 0


def test_clients_that_vanish_in_the_middle_of_calls(url):
    with serving(url) as server:
        storage = server.client()
        study = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "s")
        request = api_pb2.CreateNewTrialRequest(study_id=study, template_trial_is_none=True)
        for _ in range(50):
            channel = server.channel()
            stub = api_pb2_grpc.StorageServiceStub(channel)
            calls = [stub.CreateNewTrial.future(request) for _ in range(8)]
            calls[0].result()
            channel.close()
        numbers = [t.number for t in storage.get_all_trials(study)]
        assert sorted(numbers) == list(range(len(numbers))) and len(numbers) >= 50
        assert server.stop() == 0


if __name__ == "__main__":
    os.environ["FORKLESS_SERVE"] = SERVE
    # on a server: those that have a store of either kind
    class Chosen:
        @staticmethod
        def pytest_collection_modifyitems(items):
            if "FORKLESS_TEST_PG" in os.environ:
                items[:] = [i for i in items if "url" in i.fixturenames]

    sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-W", "ignore", __file__],
                         plugins=[Chosen()]))
