"""Where the scripts keep their studies: SQLite files, or databases of the server in FORKLESS_TEST_PG."""

import os
import sys
import tempfile

HERE = tempfile.TemporaryDirectory(prefix="forkless-interop-")
SERVER = os.environ.get("FORKLESS_TEST_PG")
MADE: set[str] = set()

if SERVER is not None:
    try:
        import psycopg2
    except ImportError:
        print("SKIPPED: no psycopg2 in this Python; tests/interop/requirements.txt has it")
        sys.exit(77)


def url(name: str) -> str:
    """The url of a store by its name, as Optuna and forkless take it."""
    if SERVER is None:
        return f"sqlite:///{HERE.name}/{name}.db"
    if name not in MADE:
        connection = psycopg2.connect(host=SERVER, user="forkless", dbname="postgres")
        connection.autocommit = True
        connection.cursor().execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        connection.close()
        MADE.add(name)
    return f"postgresql+psycopg2://forkless@/{name}?host={SERVER}"


def query(name: str, sql: str) -> list[tuple]:
    """The rows of a query on a database of the server."""
    with psycopg2.connect(host=SERVER, user="forkless", dbname=name) as connection:
        cursor = connection.cursor()
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []
