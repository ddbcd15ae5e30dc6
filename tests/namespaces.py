"""Hosts of their own on this machine: each has its network, with one link to a switch, its processes and its folders.

A host is a process whose namespaces the others of the host enter, and end with. Nothing of the machine's own is touched.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import ClassVar

import psutil

NETWORK = "10.91.0.{}"
OF_A_HOST = ("--net", "--pid", "--mount")
HOLD = ("sleep", "infinity")


def permitted():
    """Tell whether this process may make such hosts."""
    if os.geteuid() or any(shutil.which(program) is None for program in ("ip", "unshare", "nsenter")):
        return False
    words = ["unshare", *OF_A_HOST, "--fork", "--mount-proc", "true"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


class Hosts:
    """A switch, and the hosts that hang on it."""

    def __init__(self, *names):
        self._hub = subprocess.Popen(["unshare", "--net", *HOLD])
        self._run_at_hub("link", "add", "switch", "type", "bridge")
        self._run_at_hub("link", "set", "switch", "up")
        self._hosts = {name: _Host() for name in names}
        self.addresses = {name: NETWORK.format(number) for number, name in enumerate(names, 1)}
        for name in names:
            self._connect(name)

    def give_each_its_own(self, folder):
        """Have each host find another folder there, as it would on a disk of its own."""
        for name, host in self._hosts.items():
            own = folder.with_name(f"{folder.name}-{name}")
            own.mkdir()
            run(*host.words, "mount", "--bind", own, folder)

    def within(self, name):
        """Return the words that run a command on a host."""
        return self._hosts[name].words

    def cut(self, name):
        """Cut a host's link: nothing comes through, and nobody is told."""
        self._run_at_hub("link", "set", f"to-{name}", "down")

    def mend(self, name):
        """Mend it."""
        self._run_at_hub("link", "set", f"to-{name}", "up")

    def end(self):
        """End the hosts, with all that runs there."""
        for holder in (*(host.holder for host in self._hosts.values()), self._hub):
            holder.kill()
            holder.wait()

    def _connect(self, name):
        host = self._hosts[name]
        self._run_at_hub("link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", str(host.pid))
        self._run_at_hub("link", "set", f"to-{name}", "master", "switch", "up")
        run(*host.words, "ip", "address", "add", f"{self.addresses[name]}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            run(*host.words, "ip", "link", "set", link, "up")
        run(*host.words, "ip", "route", "add", "default", "dev", "eth0")

    def _run_at_hub(self, *words):
        _until(lambda: Path(f"/proc/{self._hub.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink())
        run("nsenter", f"--target={self._hub.pid}", "--net", "ip", *words)


class _Host:
    """The first process of a host; when it ends, so do the others."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", *OF_A_HOST, "--fork", "--kill-child", "--mount-proc", *HOLD])
        _until(lambda: any(one.name() == HOLD[0] for one in psutil.Process(self.holder.pid).children()))
        self.pid = psutil.Process(self.holder.pid).children()[0].pid
        self.words = ["nsenter", f"--target={self.pid}", *OF_A_HOST]


class Blinded:
    """Two hosts with the network of this machine: ``head``, and ``blind``, which has an empty folder where we have another."""

    addresses: ClassVar = {"head": "127.0.0.1", "blind": "127.0.0.1"}

    def __init__(self, folder):
        self._folder = folder

    def give_each_its_own(self, _):
        """Do nothing: they share this machine's disk."""

    def within(self, name):
        """Return the words that run a command on a host."""
        covered = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(self._folder)]
        return covered if name == "blind" else []


def run(*words):
    subprocess.run(words, check=True, capture_output=True, timeout=20)


def _until(true, seconds=20.0):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)
