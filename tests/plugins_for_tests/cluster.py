"""A PostgreSQL of the tests' own: a cluster in a temporary folder, of a user who is not root, on a local port."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bridge.store import Database
from bridge.store.schema import metadata
from bridge.testing import eventually, free_port

PASSWORD = "hunter-2/of the office"
"""With letters that a URL has to spell otherwise."""
SPELLED = "hunter-2%2Fof%20the%20office"


def find_binaries() -> Path | None:
    """The folder of `initdb` and `postgres`; None where PostgreSQL is not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: folder.parent.name, reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


class Cluster:
    """A cluster that can be started and stopped. `new_database` makes empty, migrated stores."""

    def __init__(self, binaries: Path, folder: Path, fsync: str) -> None:
        self.port = free_port()
        self._binaries = binaries
        self._folder = folder
        self._fsync = fsync
        self._data = folder / "data"
        # PostgreSQL refuses root.
        self._as: dict[str, Any] = (
            {"user": "nobody", "group": "nogroup", "extra_groups": []} if not os.geteuid() else {}
        )
        if self._as:
            shutil.chown(folder, "nobody", "nogroup")
        self._numbers = itertools.count()
        self._server: subprocess.Popen[bytes] | None = None
        self._template: str | None = None
        self._shared: str | None = None
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        words = [
            "--no-sync",
            "--encoding=UTF8",
            "--no-locale",
            "--auth=md5",
            "--username=bridge",
            f"--pwfile={password}",
            "-D",
            self._data,
        ]
        subprocess.run([binaries / "initdb", *words], check=True, stdout=subprocess.DEVNULL, cwd="/", **self._as)

    @property
    def pid(self) -> int:
        """The process id of the server, whose children serve the connections."""
        assert self._server is not None
        return self._server.pid

    def url(self, database: str) -> str:
        """The URL of a database."""
        return f"postgresql+psycopg://bridge:{SPELLED}@127.0.0.1:{self.port}/{database}"

    def new_database(self, *, empty: bool = False) -> str:
        """The URL of a new store, migrated unless it is to be `empty`."""
        if not empty and self._template is None:
            url = self._create("template1")
            database = Database(url)
            database.migrate()
            database.close()
            self._template = url.rpartition("/")[2]
        return self._create("template1" if empty or self._template is None else self._template)

    def emptied_database(self) -> str:
        """The URL of a store that is the same for all who ask, with nothing in it: cheaper than a new one."""
        if self._shared is None:
            self._shared = self.new_database()
        tables = "; ".join(f"DELETE FROM {table}" for table in metadata.tables)
        self.execute(tables, self._shared.rpartition("/")[2])
        return self._shared

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": self._fsync,
            "deadlock_timeout": "100ms",
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._data, *words], stdout=log, stderr=log, cwd="/", **self._as
            )
        eventually(self._answers, "the start of PostgreSQL")

    def stop(self, how: int = signal.SIGINT) -> None:
        """Stop it at once; whoever is connected is cut off. With SIGQUIT it ends as if it crashed."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(30)
            self._server = None

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run a statement by itself, outside of a transaction."""
        import psycopg

        address = {"host": "127.0.0.1", "port": self.port, "user": "bridge", "password": PASSWORD}
        with psycopg.connect(**address, dbname=database, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _create(self, template: str) -> str:
        name = f"db{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def _answers(self) -> bool:
        import psycopg

        try:
            return bool(self.execute("SELECT 1"))
        except psycopg.OperationalError:
            return False


class Tenant:
    """A user of the cluster who owns one database and nothing else, and how it takes his database away from him."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.url = cluster.new_database(empty=True)
        self.database = self.url.rpartition("/")[2]
        self.name = f"owner_of_{self.database}"
        cluster.execute(f"CREATE USER {self.name} PASSWORD '{PASSWORD}'")
        cluster.execute(f"ALTER DATABASE {self.database} OWNER TO {self.name}")
        self.url = self.url.replace("//bridge:", f"//{self.name}:")

    def may_connect(self, number: int) -> None:
        """So many connections from now on; those there are end."""
        self._cluster.execute(f"ALTER USER {self.name} CONNECTION LIMIT {number}")
        self._cluster.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{self.name}'")


@contextmanager
def running_cluster(binaries: Path, *, fsync: str = "off") -> Iterator[Cluster]:
    """A cluster that is stopped and removed at the end."""
    # Not pytest's folder, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="callbridge-postgresql-"))
    cluster = None
    try:
        cluster = Cluster(binaries, folder, fsync)
        cluster.start()
        yield cluster
    finally:
        if cluster is not None:
            cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
