"""Hosts of their own on this machine: each is a network namespace with one link to a switch, and a link can be cut.

Whatever is made here bears the number of this process, and nothing of the machine's own network is touched.
"""

import contextlib
import os
import shutil
import subprocess
from typing import ClassVar

NETWORK = "10.91.{}.{}"


def permitted():
    """Tell whether this process may make network namespaces."""
    if shutil.which("ip") is None:
        return False
    name = f"try{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    if made:
        ip("netns", "del", name)
    return made


class Hosts:
    """A switch, and the hosts that hang on it; names of hosts have at most four letters."""

    def __init__(self, *names):
        self._number = os.getpid() % 250
        self._hub = f"hub{os.getpid()}"
        ip("netns", "add", self._hub)
        self._in(self._hub, "ip", "link", "add", "switch", "type", "bridge")
        self._in(self._hub, "ip", "link", "set", "switch", "up")
        self.addresses = {}
        for number, name in enumerate(names, 1):
            self.addresses[name] = NETWORK.format(self._number, number)
            self._add(name)

    def within(self, name):
        """Return the words that run a command on a host."""
        return ["ip", "netns", "exec", self._space(name)]

    def cut(self, name):
        """Cut a host's link: nothing comes through, and nobody is told."""
        self._in(self._hub, "ip", "link", "set", f"to-{name}", "down")

    def mend(self, name):
        """Mend it."""
        self._in(self._hub, "ip", "link", "set", f"to-{name}", "up")

    def end(self):
        """Remove all of it; what still runs there is cut off from everything."""
        for space in (*map(self._space, self.addresses), self._hub):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", space)

    def _add(self, name):
        space = self._space(name)
        ip("netns", "add", space)
        ip("link", "add", f"to-{name}", "netns", self._hub, "type", "veth", "peer", "name", "eth0", "netns", space)
        self._in(self._hub, "ip", "link", "set", f"to-{name}", "master", "switch", "up")
        self._in(space, "ip", "address", "add", f"{self.addresses[name]}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            self._in(space, "ip", "link", "set", link, "up")
        self._in(space, "ip", "route", "add", "default", "dev", "eth0")

    def _space(self, name):
        return f"{name}{os.getpid()}"

    def _in(self, space, *words):
        ip("netns", "exec", space, *words)


class Blinded:
    """Two hosts with the network of this machine: ``head``, and ``blind``, which has an empty folder where we have another."""

    addresses: ClassVar = {"head": "127.0.0.1", "blind": "127.0.0.1"}

    def __init__(self, folder):
        self._folder = folder

    def within(self, name):
        """Return the words that run a command on a host."""
        covered = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(self._folder)]
        return covered if name == "blind" else []


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)
