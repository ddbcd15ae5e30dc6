"""A Ray cluster of several nodes on this machine, with token authentication; only what is started here is ended here."""

import collections
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

RAY = Path(sys.executable).with_name("ray")
PATIENCE = 60.0
"""Seconds that a node may take to start."""


class Cluster:
    """A head, and nodes that come and go."""

    def __init__(self, head_cores, environment=None, hosts=None):
        """Start a head, in a folder of its own.

        Args:
            head_cores: cores of the head.
            environment: what its nodes have besides ours.
            hosts: where nodes live, as tests/namespaces.py makes them; the head on ``head``. None for this machine.
        """
        self._more, self._hosts = environment or {}, hosts
        self._folder = tempfile.TemporaryDirectory(prefix="seg-head-", ignore_cleanup_errors=True)
        token = Path(self._folder.name, "token")
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        self.env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_USAGE_STATS_ENABLED": "0"}
        self._port = free_port()
        self._ip = hosts.addresses["head"] if hosts else "127.0.0.1"
        self.address = f"{self._ip}:{self._port}"
        self.nodes = []
        self._endpoints = []
        rays = Path(self._folder.name, "r")
        rays.mkdir()
        if hosts:
            hosts.give_each_its_own(rays)
        words = ["--head", f"--port={self._port}", f"--temp-dir={rays}", "--include-dashboard=false"]
        self._head = self._start("head", *words, f"--num-cpus={head_cores}")
        self._wait(self._head)

    def add_node(self, cores, host=""):
        """Start a node that joins; it is there some seconds later."""
        node = self._start(host, f"--address={self.address}", f"--num-cpus={cores}")
        self.nodes.append(node)
        return node

    def lose(self, node):
        """Have a node vanish as a machine does whose power is cut."""
        for process in (*_family(node), psutil.Process(node.pid)):
            kill(process)
        node.wait(PATIENCE)
        if node in self.nodes:
            self.nodes.remove(node)

    def lose_head(self):
        """Have the head vanish; others end by themselves, some time later."""
        self.lose(self._head)

    def metrics(self, prefix):
        """Return what the nodes' endpoints say, by name without ``prefix`` and label ``node``, added up over all others.

        It takes the packages of ``ray[default]``, and a node some seconds, until there is such an endpoint.
        """
        found = collections.Counter()
        for port in self._endpoints:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
                lines = answer.read().decode().splitlines()
            for line in lines:
                if line.startswith(prefix):
                    name, labels, value = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line).groups()
                    node = re.search('(?:^|,)node="(.*?)"', labels)
                    found[name.removeprefix(prefix), node[1] if node else ""] += float(value)
        return found

    def workers(self):
        """Return the processes of all nodes' workers."""
        return [*self.workers_of_head(), *(one for node in self.nodes for one in _family(node) if is_worker(one))]

    def workers_of_head(self):
        """Return those of the head."""
        return [one for one in _family(self._head) if is_worker(one)]

    def end(self):
        """End all of it."""
        for node in [node for node in (*self.nodes, self._head) if node.poll() is None]:
            family = _family(node)
            node.send_signal(signal.SIGTERM)
            psutil.wait_procs(family, timeout=15)
            for process in family:
                kill(process)
            node.wait(PATIENCE)
        self._folder.cleanup()

    def _start(self, host, *words):
        within, address = (self._hosts.within(host), self._hosts.addresses[host]) if self._hosts else ([], "127.0.0.1")
        self._endpoints.append(free_port())
        ours = ["--block", "--object-store-memory=80000000", f"--node-ip-address={address}"]
        ours.append(f"--metrics-export-port={self._endpoints[-1]}")
        return subprocess.Popen(
            [*within, RAY, "start", *words, *ours],
            env={**os.environ, **self.env, **self._more},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _wait(self, head):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            assert head.poll() is None, "the head did not start"
            if self._listens():
                return
            time.sleep(0.1)
        raise AssertionError("the head does not answer")

    def _listens(self):
        if self._hosts:  # this process is on none of them
            asked = f"import socket; socket.create_connection(('{self._ip}', {self._port}), 5)"
            words = [*self._hosts.within("head"), sys.executable, "-c", asked]
            return subprocess.run(words, stderr=subprocess.DEVNULL, check=False).returncode == 0
        with socket.socket() as probe:
            return probe.connect_ex((self._ip, self._port)) == 0


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def kill(process):
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def is_worker(process):
    """Tell whether a process is one of slideseg's workers."""
    try:
        return "_Actor" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _family(node):
    try:
        return psutil.Process(node.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
