"""Does the service as a whole, in its real processes, start, serve, refuse, outlive hostile input and end as it should?"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from app import embedded
from tests.cast import PASSWORD, bearer
from tests.ports import free_port

START_SECONDS = 60
WORKERS = 2
SETTINGS = (
    "DATABASE_URL",
    "DATA_DIR",
    "HOST",
    "PORT",
    "WORKERS",
    "JWT_SECRETS",
    "ENCRYPTION_KEYS",
    "PUBLIC_URL",
    "TRUSTED_PROXIES",
    "REGISTRATION",
)


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def is_there(process: psutil.Process) -> bool:
    """A zombie that nobody has buried is not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


class Service:
    """`python -m app run` in a folder, on a port."""

    def __init__(self, data_dir: Path, port: int) -> None:
        self.data_dir = data_dir
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.process: subprocess.Popen[str] | None = None
        self.said = data_dir.parent / f"said-{port}"

    def start(self, **settings: str) -> subprocess.Popen[str]:
        """Without waiting."""
        environ = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in SETTINGS}
        environ |= {"DATA_DIR": str(self.data_dir), "PORT": str(self.port), "WORKERS": str(WORKERS), **settings}
        with self.said.open("a") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "app", "run"], env=environ, stdout=output, stderr=subprocess.STDOUT, text=True
            )

    def refuses(self, **settings: str) -> str:
        """What it says when it does not start."""
        process = self.start(**settings)
        try:
            assert process.wait(START_SECONDS) == 1
        finally:
            process.kill()
            process.wait()
        said = self.said.read_text()
        assert "Traceback" not in said
        return said.strip().splitlines()[-1]

    def serve(self) -> None:
        """And wait until it does."""
        self.process = self.start()
        wait_until(lambda: self.is_ready() or self._has_ended(), START_SECONDS)
        assert self.process.poll() is None, self.said.read_text()

    def _has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def is_ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz").status_code == 200
        return False

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes that answer."""
        assert self.process
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if is_there(child) and "resource_tracker" not in _command(child)]

    @property
    def database(self) -> psutil.Process:
        """Its own PostgreSQL."""
        return psutil.Process(
            int((embedded.locate(self.data_dir).cluster / "postmaster.pid").read_text().split("\n")[0])
        )

    def is_port_free(self) -> bool:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError:
                return False
            return True

    def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return httpx.request(method, f"{self.url}{path}", **arguments)

    def log_in(self, email: str) -> dict[str, Any]:
        answer = self.call("POST", "/api/auth/login", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text + self.said.read_text()
        return answer.json()

    def close(self) -> None:
        """Whatever became of it."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextlib.contextmanager
def new_service() -> Generator[Service]:
    folder = Path(tempfile.mkdtemp(prefix="watcher-"))
    folder.chmod(0o711)  # as root the database runs under another user
    service = Service(folder / "data", free_port())
    try:
        yield service
    finally:
        service.close()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def service() -> Generator[Service]:
    """One for all the tests that leave it as it is."""
    with new_service() as service:
        service.serve()
        yield service


@pytest.fixture(scope="module")
def access_token(service: Service) -> str:
    """Of somebody with an account."""
    credentials = {"email": "alice@example.com", "password": PASSWORD}
    assert service.call("POST", "/api/auth/register", json=credentials).status_code == 201
    return service.log_in("alice@example.com")["access_token"]


# --- a life


def test_life_of_a_service() -> None:
    with new_service() as service:
        service.serve()
        assert service.call("GET", "/livez").json() == {"status": "ok"}
        assert f"listens on {service.url}" in service.said.read_text()
        assert "secret" not in service.said.read_text().lower()
        credentials = {"email": "alice@example.com", "password": PASSWORD}
        registered = service.call("POST", "/api/auth/register", json=credentials).json()
        tokens = service.log_in("alice@example.com")

        # killed: nobody is left to hold the port, and what was answered for is there after the next start
        workers, database = service.workers, service.database
        assert len(workers) == WORKERS
        assert service.process
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
        wait_until(lambda: not any(map(is_there, workers)), 5)
        assert service.is_port_free()
        service.serve()
        assert not is_there(database)
        me = service.call("GET", "/api/auth/me", headers=bearer(tokens["access_token"]))
        assert me.json() == registered  # so the secret is the same too
        service.log_in("alice@example.com")

        # ended: service and database, at once, without an error
        workers, database = service.workers, service.database
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0
        assert not any(map(is_there, [*workers, database]))
        assert service.is_port_free()
        assert not (embedded.locate(service.data_dir).cluster / "postmaster.pid").exists()
        assert "Traceback" not in service.said.read_text()


def test_worker_that_dies_is_replaced(service: Service) -> None:
    before = service.workers
    before[0].kill()
    wait_until(lambda: len([worker for worker in service.workers if worker != before[0]]) == WORKERS, 20)
    wait_until(service.is_ready, 20)
    [told] = (json.loads(line) for line in service.said.read_text().splitlines() if "Unexpected exit" in line)
    assert told["level"] == "error"


# --- starts that must not succeed


def test_second_start_in_the_same_folder_is_refused_in_a_sentence(service: Service) -> None:
    assert service.process
    second = Service(service.data_dir, free_port())
    assert second.refuses() == (
        f"Another process ({service.process.pid}) is using {service.data_dir}; "
        "stop it first, or set DATA_DIR to another folder."
    )
    assert service.is_ready()


def test_port_that_is_taken_is_refused_in_a_sentence(service: Service, database_url: str) -> None:
    second = Service(service.data_dir.parent / "other", service.port)
    secrets = dict.fromkeys(["JWT_SECRETS", "ENCRYPTION_KEYS"], "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    said = second.refuses(DATABASE_URL=database_url, **secrets)
    assert said == f"Cannot listen on 127.0.0.1 port {service.port}: Address already in use."
    assert service.is_ready()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"PORT": "http"}, "PORT must be a whole number from 1 to 65535"),
        ({"DATABASE_URL": "postgresql://h/d"}, "JWT_SECRETS must be set when DATABASE_URL is"),
        ({"JWT_SECRETS": "c2hvcnQ="}, "JWT_SECRETS must be base64 of at least 32 random bytes each"),
        ({"ENCRYPTION_KEYS": "c2hvcnQ="}, "ENCRYPTION_KEYS must be base64 of exactly 32 random bytes each"),
    ],
)
def test_wrong_setting_is_refused_in_a_sentence(settings: dict[str, str], sentence: str, tmp_path: Path) -> None:
    said = Service(tmp_path / "data", free_port()).refuses(**settings)
    assert said.startswith(sentence)


# --- hostile input on a raw socket


def talk(service: Service, *pieces: bytes, then_close: bool = False, patience: float = 0.05) -> list[int]:
    """The statuses of the answers until the connection ends or nothing more comes."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
        received = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
            if then_close:
                connection.shutdown(socket.SHUT_WR)
            connection.settimeout(2)
            while chunk := connection.recv(65_536):
                received += chunk
                if b"\r\n\r\n" in received and not then_close:
                    connection.settimeout(patience)
        except (TimeoutError, ConnectionError):
            pass
    lines = [line for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.")]
    return [int(line.split(b" ")[1]) for line in lines]


def ask(target: bytes, *headers: bytes, method: bytes = b"GET", body: bytes = b"", host: bytes = b"Host: h") -> bytes:
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", *([host] if host else []), *headers, b"", b""]) + body


def post(*headers: bytes, body: bytes = b"{}", kind: bytes = b"Content-Type: application/json") -> bytes:
    length = [] if any(header.lower().startswith((b"content-length", b"transfer-encoding")) for header in headers) else [
        b"Content-Length: %d" % len(body)
    ]  # fmt: skip
    return ask(b"/api/auth/login", *([kind] if kind else []), *length, *headers, method=b"POST", body=body)


ME = b"/api/auth/me"
BIG = 70_000

# input: the statuses that are right; none stands for a connection that is closed without a word
HOSTILE: dict[str, tuple[bytes, set[int | None]]] = {
    "bytes in a credential": (ask(ME, b"Authorization: Bearer \xff\xfe\x80"), {401}),
    "UTF-8 in a credential": (ask(ME, "Authorization: Bearer ключ".encode()), {401}),
    "bytes in the scheme": (ask(ME, b"Authorization: \xff\xfe abc"), {401}),
    "two credentials": (ask(ME, b"Authorization: Bearer a", b"Authorization: Bearer b"), {401}),
    "deep brackets in a JWT's header": (ask(ME, b"Authorization: Bearer " + b"W1tb" * 900 + b".e30.x"), {401}),
    "long credential": (ask(ME, b"Authorization: Bearer " + b"a" * 8000), {401, 431}),
    "NUL in a header": (ask(ME, b"Authorization: Bearer a\0b"), {400, 401}),
    "NUL in a name": (ask(ME, b"X\0: a"), {400}),
    "bytes in other headers": (
        ask(b"/livez", b"X-Request-ID: \xff", b"User-Agent: \xff", b"X-Forwarded-For: \xff", b"Cookie: \xff"), {200},
    ),
    "folded header": (ask(ME, b"X: a\r\n b"), {400, 401}),
    "64 kB in a header": (ask(b"/livez", b"X: " + b"a" * 65_536), {200, 400, 431}),
    "1 MB in a header": (ask(b"/livez", b"X: " + b"a" * 1_048_576), {400, 431, None}),
    "1000 headers": (ask(b"/livez", *[b"X-%d: a" % number for number in range(1000)]), {400, 431}),
    "long target": (ask(b"/" + b"a" * 70_000), {400, 404, 414, 431}),
    "body over the limit": (post(body=b'{"x": "' + b"x" * BIG + b'"}'), {413}),
    "announced length over the limit": (post(b"Content-Length: 100000000", body=b"{"), {413}),
    "chunked body over the limit": (
        post(b"Transfer-Encoding: chunked", body=b"%x\r\n%b\r\n0\r\n\r\n" % (BIG, b"x" * BIG)),
        {413},
    ),
    "JSON as text": (post(kind=b"Content-Type: text/plain"), {415}),
    "JSON as a form": (post(kind=b"Content-Type: application/x-www-form-urlencoded"), {415}),
    "JSON as a form of parts": (post(kind=b"Content-Type: multipart/form-data; boundary=x"), {415}),
    "JSON as nothing": (post(kind=b""), {415}),
    "bytes as the content type": (post(kind=b"Content-Type: application/json\xff"), {415}),
    "two content types": (post(b"Content-Type: text/plain"), {400, 415, 422}),
    "bad UTF-8": (post(body=b'{"email": "\xff", "password": "x"}'), {400}),
    "deep brackets": (post(body=b'{"email":' + b"[" * 60_000), {400}),
    "deep brackets in an unknown field": (post(body=b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}"), {400}),
    "escaped NUL": (post(body=b'{"email": "a\\u0000@b.de", "password": "x"}'), {422}),
    "compressed body": (post(b"Content-Encoding: gzip", body=gzip.compress(b"{}" + b" " * 10_000_000)), {415}),
    "body that is said to be compressed": (post(b"Content-Encoding: br"), {415}),
    "less announced than sent": (post(b"Content-Length: 2", body=b"{}" + b"x" * 100), {422}),
    "chunk extension": (
        post(b"Transfer-Encoding: chunked", body=b'2;x="' + b"y" * 100 + b'"\r\n{}\r\n0\r\n\r\n'), {400, 422},
    ),
    "endless chunk extension": (
        post(b"Transfer-Encoding: chunked", body=b"2;" + b"y" * 1_000_000 + b"\r\n{}\r\n0\r\n\r\n"), {400, None},
    ),
    "endless trailers": (
        post(b"Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 100_000 + b"\r\n"), {400, None},
    ),
    "a hundred cookies": (ask(b"/livez", *[b"Cookie: a=%d" % number for number in range(100)]), {200, 400, 431}),
    "a thousand query parameters": (ask(b"/livez?" + b"&".join([b"a=1"] * 1000)), {422}),
    "line feeds in the client's name": (ask(b"/nothing", b'User-Agent: a\r {"forged": true}'), {400, 404}),
    "odd length": (post(b"Content-Length: +2"), {400}),
    "negative length": (post(b"Content-Length: -2"), {400}),
    "two lengths": (post(b"Content-Length: 2", b"Content-Length: 3"), {400}),
    "length and chunks": (post(b"Content-Length: 2", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), {400}),
    "broken chunks": (post(b"Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n0\r\n\r\n"), {400, None}),
    "unknown transfer coding": (post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"), {400, 501}),
    "no host": (ask(b"/livez", host=b""), {200, 400}),
    "garbage as the host": (ask(b"/livez", host=b"Host: a/b@c\xff:99999"), {200, 400}),
    "two hosts": (ask(b"/livez", b"Host: i"), {200, 400}),
    "another host, forwarded": (ask(ME, b"X-Forwarded-Host: evil", b"Forwarded: host=evil", host=b"Host: evil"), {401}),
    "empty host": (ask(b"/livez", host=b"Host:"), {200, 400}),
    "encoded dots": (ask(b"/schema/%2e%2e/%2e%2e/etc/passwd"), {404}),
    "plain dots": (ask(b"/../../../../etc/passwd"), {400, 404}),
    "encoded slashes": (ask(b"/static/..%2f..%2fetc%2fpasswd"), {404}),
    "encoded NUL": (ask(b"/livez%00"), {404}),
    "encoded bytes": (ask(b"/%ff%fe"), {400, 404}),
    "raw bytes": (ask(b"/\xff\xfe"), {400, 404}),
    "broken encoding": (ask(b"/%zz%"), {400, 404}),
    "encoded line feed": (ask(b"/%0d%0aSet-Cookie:%20a=b"), {404}),
    "encoded guard": (ask(b"/api/%61uth/me"), {401, 404}),
    "doubled slashes": (ask(b"//api//auth/me"), {401, 404}),
    "query of bytes": (ask(b"/livez?a=%ff"), {422}),
    "raw query of bytes": (ask(b"/livez?a=\xff"), {400, 422}),
    "query of NUL": (ask(b"/livez?a=%00"), {422}),
    "whole address": (ask(b"http://evil/livez"), {200, 400, 404}),
    "asterisk": (ask(b"*", method=b"OPTIONS"), {204, 400, 404}),
    "tunnel": (ask(b"evil:443", method=b"CONNECT"), {400, 404, 405}),
    "unheard of method": (ask(b"/livez", method=b"BREW"), {400, 405}),
    "TRACE": (ask(b"/livez", method=b"TRACE"), {400, 405}),
    "expectation": (post(b"Expect: the unexpected"), {400, 417, 422}),
    "websocket": (
        ask(b"/livez", b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", b"Sec-WebSocket-Protocol: \x80\xff"),
        {200, 400, 403, 404, 426, None},
    ),
    "HTTP/2 to come": (
        ask(b"/livez", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: !!!!"), {200, 400},
    ),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 200, {400, None}),
    "bare line feeds": (b"GET /livez HTTP/1.1\nHost: h\n\n", {200, 400}),
    "HTTP/0.9": (b"GET /livez\r\n\r\n", {400, None}),
    "HTTP/9": (b"GET /livez HTTP/9.9\r\nHost: h\r\n\r\n", {400, 505, None}),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_is_refused_and_the_server_stays(name: str, service: Service) -> None:
    sent, right = HOSTILE[name]
    statuses = talk(service, sent)
    assert (statuses[0] if statuses else None) in right, statuses
    assert not [status for status in statuses if status >= 500]
    assert talk(service, ask(b"/livez", b"Connection: close")) == [200]


def test_hostile_input_kills_no_worker(service: Service) -> None:
    wait_until(lambda: len(service.workers) == WORKERS, 20)
    before = {worker.pid for worker in service.workers}
    for sent, _ in HOSTILE.values():
        talk_briefly(service, sent)
    assert {worker.pid for worker in service.workers} == before
    assert service.is_ready()


def talk_briefly(service: Service, sent: bytes) -> None:
    """Send, and go without listening."""
    with (
        contextlib.suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection,
    ):
        connection.sendall(sent)


def test_body_that_ends_too_early_is_no_server_error(service: Service) -> None:
    head = post(b"Content-Length: 100", body=b"0123456789")
    assert not [status for status in talk(service, head, then_close=True) if status >= 500]
    talk_briefly(service, head)
    time.sleep(0.2)
    assert service.is_ready()
    assert "Traceback" not in service.said.read_text()
    assert "unexpected error" not in service.said.read_text()


def test_what_follows_a_refused_body_is_not_taken_for_a_request(service: Service) -> None:
    """Or else a body could carry a request past a proxy."""
    smuggled = ask(ME)
    for sent in (
        post(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + smuggled),
        post(b"Transfer-Encoding: chunked", body=b"zz\r\n" + smuggled),
        post(b"Content-Length: 2", b"Content-Length: 3", body=b"{}" + smuggled),
    ):
        assert 401 not in talk(service, sent, patience=0.5)


def test_head_of_a_raw_socket_has_no_body(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
        connection.sendall(ask(b"/livez", b"Connection: close", method=b"HEAD"))
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-length: 15" in head.lower()
    assert body == b""


def test_five_hundred_idle_connections_keep_nobody_out(service: Service) -> None:
    """See tests/bench/idle.py for how long the others wait."""
    beginnings = (b"", b"GET /livez HTTP/1.1\r\nHost: h\r\nX: ", post(b"Content-Length: 50", body=b"{"))
    with contextlib.ExitStack() as stack:
        for number in range(500):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=5))
            connection.sendall(beginnings[number % len(beginnings)])
        assert service.is_ready()


def test_no_secret_is_in_the_log(service: Service, access_token: str) -> None:
    """After everything above: what people send stays out of it."""
    assert service.call("GET", "/api/auth/me", headers=bearer(access_token)).status_code == 200
    service.call("GET", "/api/auth/me", params={"access_token": access_token})
    said = service.said.read_text()
    for secret in (PASSWORD, access_token, access_token.rpartition(".")[2], "alice@example.com"):
        assert secret not in said


def test_nothing_that_was_sent_makes_a_line_of_the_log(service: Service) -> None:
    lines = service.said.read_text().splitlines()
    assert lines
    for line in lines:
        if not line.startswith(
            ("OpenRouter Watcher listens on", "Cannot listen on")
        ):  # for people; a second one had no port
            assert {"event", "level", "timestamp"} <= json.loads(line).keys(), line


def test_clients_that_do_not_get_on_are_cut_off(service: Service, access_token: str) -> None:
    """Ten seconds, all at once: silent ones, heads and bodies without an end, and an import that would hold its place."""
    credential = b"Authorization: Bearer " + access_token.encode()
    upload = ask(
        b"/api/imports/activity", credential, b"Content-Type: text/csv", b"Content-Length: 1000", method=b"POST"
    )
    beginnings = {
        b"": b"",
        b"GET /livez HTTP/1.1\r\nHost: h\r\nX: ": b"",
        post(b"Content-Length: 50", body=b"{"): b"HTTP/1.1 408 ",
        post(b"Transfer-Encoding: chunked", body=b"1\r\n{\r\n"): b"HTTP/1.1 408 ",
        upload + b"generation_id,": b"HTTP/1.1 408 ",
    }
    with contextlib.ExitStack() as stack:
        connections = {
            beginning: stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=20))
            for beginning in beginnings
        }
        for beginning, connection in connections.items():
            connection.sendall(beginning)
        for beginning, connection in connections.items():
            assert until_closed(connection).startswith(beginnings[beginning]), beginning


def until_closed(connection: socket.socket) -> bytes:
    """All that comes."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while chunk := connection.recv(65_536):
            received += chunk
    return received


def test_end_before_the_service_serves_leaves_no_database_behind() -> None:
    """The database is up, the server is not yet: Python's own SIGTERM would forget the one for the other."""
    folder = Path(tempfile.mkdtemp(prefix="watcher-"))
    folder.chmod(0o711)
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "run"],
        env={
            **os.environ,
            "DATA_DIR": str(folder),
            "PORT": str(free_port()),
            "DATABASE_URL": "",
            "USER": "somebody-else",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        pid_file = embedded.locate(folder).cluster / "postmaster.pid"
        wait_until(pid_file.exists, 30)
        postgres = psutil.Process(int(pid_file.read_text(encoding="utf-8").split("\n")[0]))
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        wait_until(lambda: not is_there(postgres), 10)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)
