"""optuna-dashboard on a file that the store wrote. Usage: dashboard.py STORE_TOOL"""

import io
import json
import subprocess
import sys
import tempfile
from wsgiref.util import setup_testing_defaults

import optuna

try:
    from optuna_dashboard import wsgi
except ImportError:
    print("SKIPPED: this Python has no optuna-dashboard")
    sys.exit(0)


def get(app, path: str) -> dict:
    environ: dict = {"PATH_INFO": path, "REQUEST_METHOD": "GET", "wsgi.input": io.BytesIO()}
    setup_testing_defaults(environ)
    status: list[str] = []
    body = b"".join(app(environ, lambda line, headers, *rest: status.append(line)))
    assert status[0].startswith("200"), (path, status, body[:500])
    return json.loads(body)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="forkless-dashboard-") as here:
        url = f"sqlite:///{here}/s.db"
        subprocess.run([sys.argv[1], url, "make", "s"], check=True)
        app = wsgi(optuna.storages.RDBStorage(url))
        summaries = get(app, "/api/studies")["study_summaries"]
        assert [s["study_name"] for s in summaries] == ["s"], summaries
        study = get(app, f"/api/studies/{summaries[0]['study_id']}")
        assert [t["state"] for t in study["trials"]] == [
            "Complete", "Complete", "Complete", "Pruned", "Fail", "Running", "Waiting",
        ], study["trials"]
        full = study["trials"][0]
        assert full["values"] == [0.1 + 0.2]
        assert {p["name"]: p["param_external_value"] for p in full["params"]} == {
            "lr": "0.001", "layers": "5", "act": "None",
        }
        print("ok", len(study["trials"]), "trials")


main()
