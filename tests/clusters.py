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

    def __init__(self, head_cores, environment=None):
        """Start a head with so many cores, in a folder of its own; ``environment`` is what its nodes have besides ours."""
        self._more = environment or {}
        self._folder = tempfile.TemporaryDirectory(prefix="seg-head-", ignore_cleanup_errors=True)
        token = Path(self._folder.name, "token")
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        self.env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_USAGE_STATS_ENABLED": "0"}
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        self.nodes = []
        self._endpoints = []
        words = ["--head", f"--port={self._port}", f"--temp-dir={self._folder.name}", "--include-dashboard=false"]
        self._head = self._start(*words, f"--num-cpus={head_cores}")
        self._wait(self._head)

    def add_node(self, cores):
        """Start a node that joins; it is there some seconds later."""
        node = self._start(f"--address={self.address}", f"--num-cpus={cores}")
        self.nodes.append(node)
        return node

    def lose(self, node):
        """Have a node vanish as a machine does whose power is cut."""
        for process in (*_family(node), psutil.Process(node.pid)):
            kill(process)
        node.wait(PATIENCE)
        self.nodes.remove(node)

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
        return [one for node in (self._head, *self.nodes) for one in _family(node) if is_worker(one)]

    def end(self):
        """End all of it."""
        for node in (*self.nodes, self._head):
            family = _family(node)
            node.send_signal(signal.SIGTERM)
            psutil.wait_procs(family, timeout=15)
            for process in family:
                kill(process)
            node.wait(PATIENCE)
        self._folder.cleanup()

    def _start(self, *words):
        self._endpoints.append(free_port())
        ours = ["--block", "--object-store-memory=80000000", "--node-ip-address=127.0.0.1"]
        ours.append(f"--metrics-export-port={self._endpoints[-1]}")
        return subprocess.Popen(
            [RAY, "start", *words, *ours],
            env={**os.environ, **self.env, **self._more},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _wait(self, head):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            assert head.poll() is None, "the head did not start"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("the head does not answer")


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
