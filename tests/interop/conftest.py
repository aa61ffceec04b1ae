"""Starts the relay under test between two upstreams, once for the whole run."""

import http.client
import os
import secrets
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay_client import Client, Pair
from upstream import Upstream

REPOSITORY = Path(__file__).resolve().parents[2]

CONFIG = """\
listeners:
  - address: 127.0.0.1:{port}
domain_map:
  tenant-a.test:
    upstream: {a}
    client_id_secret: the secret of tenants a and c, long enough
    pass_through_routes: [/health, "/public/*"]
  tenant-b.test:
    upstream: {b}
    client_id_secret: the secret of tenant b alone, long enough
  tenant-c.test:
    upstream: {b}
    client_id_secret: the secret of tenants a and c, long enough
  strict.test:
    upstream: {a}
    client_id_secret: the secret of the strict tenant, long enough
    require_binding: true
  plain.test:
    upstream: {a}
    client_id_secret: the secret of the plain tenant, long enough
    allow_plain_requests: true
  large.test:
    upstream: {a}
    client_id_secret: the secret of the tenant of large keys
    min_kem: ml-kem-1024
  routes.test:
    upstream: {a}
    client_id_secret: the secret of the tenant with routes, long enough
    mte_routes: ["/echo/*"]
  dead.test:
    upstream: http://127.0.0.1:{dead_port}
    client_id_secret: the secret of the tenant without upstream
"""


def relay_binary() -> Path:
    if given := os.environ.get("MTE_RELAY_BIN"):
        return Path(given)
    for profile in ("release", "debug"):
        path = REPOSITORY / "target" / profile / "mte-relay"
        if path.exists():
            return path
    pytest.fail("the relay has not been built; set MTE_RELAY_BIN or run cargo build")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclass
class Relay:
    address: tuple[str, int]
    a: Upstream
    """The upstream of tenant-a.test."""
    b: Upstream
    """The upstream of tenant-b.test and tenant-c.test."""
    log: Path

    def client(self, host: str = "tenant-a.test") -> Client:
        return Client(self.address, host)

    def pair(self, host: str = "tenant-a.test", kem_id: int = 2) -> tuple[Client, Pair]:
        """A new client with one pair."""
        client = self.client(host)
        return client, client.pair(kem_id)[0]


@pytest.fixture(scope="session")
def relay(tmp_path_factory):
    binary = relay_binary()
    folder = tmp_path_factory.mktemp("relay")
    a, b, port = Upstream(), Upstream(), free_port()
    config, log = folder / "relay.yaml", folder / "relay.log"
    config.write_text(CONFIG.format(port=port, dead_port=free_port(), a=a.url, b=b.url))
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    with log.open("wb") as output:
        process = subprocess.Popen([binary, "run", "--config", config], cwd=folder, env=environment,
                                   stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until_ready(process, port, log)
        yield Relay(("127.0.0.1", port), a, b, log)
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
        a.close()
        b.close()


def wait_until_ready(process: subprocess.Popen, port: int, log: Path, timeout: float = 15.0) -> None:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"the relay ended with status {process.returncode}:\n{log.read_text()}", pytrace=False)
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", "/api/mte-echo")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    pytest.fail(f"the relay did not become ready:\n{log.read_text()}", pytrace=False)


@pytest.fixture
def mark() -> str:
    """A text unique to this test, for its paths."""
    return secrets.token_hex(8)


@pytest.fixture(scope="session")
def pairs(relay):
    """One lasting pair for each KEM, at tenant a."""
    return {kem_id: relay.pair(kem_id=kem_id) for kem_id in (1, 2, 3, 4)}


@pytest.fixture
def session(relay) -> tuple[Client, Pair]:
    """A new client with a new pair at tenant a."""
    return relay.pair()
