"""One run at a time on a result: a small file beside it says who writes, and is renewed while the run lives."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self
from unicodedata import category

from slideseg.errors import ResultError, ResultInUseError, RunError, explain
from slideseg.storage.place import check_parent, locate
from slideseg.storage.store import (
    delete_key,
    last_modified,
    open_store,
    read_key,
    reason,
    storage_errors,
    write_key,
    write_new_key,
)

if TYPE_CHECKING:
    from types import TracebackType

    from slideseg.storage.store import Store

log = logging.getLogger(__name__)

RENEW_SECONDS = 10.0
"""Time between renewals."""
EXPIRE_SECONDS = 60.0
"""A lease from another machine that was not renewed for so long belongs to nobody."""
PATIENCE = 8.0
"""Seconds in which a bucket that fails is asked again; its answer may take as long. A renewal is a reading and a writing, so it
is there or given up before anybody believes the run dead, and never comes late over the lease of another one."""
SETTLE_SECONDS = 0.3
"""After taking over a dead lease, time for another that does the same at that moment to write, so that one of both wins."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease."""

    nonce: str
    """Unique to the run."""
    host: str
    """Name of the machine, for people."""
    machine: str
    """The machine since it was started, and its space of process numbers: where `pid` means something."""
    pid: int
    """Process number of the run."""
    started: str
    """When that process started, as the system counts; process numbers are used again."""
    renewed: float
    """Seconds since 1970 at the last renewal."""

    @classmethod
    def here(cls) -> Holder:
        """Return this process as a holder."""
        pid = os.getpid()
        return cls(uuid.uuid4().hex, socket.gethostname(), _machine(), pid, _started(pid) or "", time.time())

    @property
    def is_here(self) -> bool:
        """Whether the run is one of this machine's, where it can be seen whether it lives."""
        return self.machine == _machine()

    @property
    def lives_here(self) -> bool:
        """Whether the process is there, on this machine."""
        return _started(self.pid) == self.started


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease as any process of its run can look at it, on whatever machine."""

    url: str
    """The result."""
    nonce: str
    """Of the run."""

    def check(self) -> None:
        """See in the storage that the lease is still the run's: call it before what another run's files must survive.

        Raises:
            ResultInUseError: if another run has taken over.
            RunError: if the storage fails.
        """
        folder, key = _place(self.url)
        try:
            holder = _read(open_store(folder), key)
        except storage_errors() as error:
            raise RunError(explain(f"the lease {key} can't be read", got=reason(error))) from error
        if holder is None or holder.nonce != self.nonce:
            raise ResultInUseError(explain(f"another run has taken over {self.url}", try_="to see who, after a minute"))


class Lease:
    """Holds a result for this run while its ``with`` block runs. Take it before `create_result`.

    It lies beside the result, not in it, as ``.NAME.lease``: then it also guards the creation and the deletion.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._folder, self._key = _place(url)
        self._holder = Holder.here()
        self._renewed = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self.lost = False
        """Whether another run has taken over, or the lease could not be renewed in time: stop writing."""
        self._is_gone = False

    @property
    def claim(self) -> Claim:
        """What the run's other processes need to see whether it still holds the lease."""
        return Claim(self._url, self._holder.nonce)

    def check(self) -> None:
        """See whether the run still holds it, as far as this process knows.

        Raises:
            ResultInUseError: if another run has taken over.
            RunError: if somebody removed it.
        """
        if self._is_gone:
            what = f"the lease beside {self._url} is gone: somebody removed it, or the folder that both are in"
            raise RunError(explain(what, try_="the same command again"))
        if self.lost:
            raise ResultInUseError(explain("another run has taken over the output", got=self._url))

    def __enter__(self) -> Self:
        """Take the lease.

        Raises:
            ResultInUseError: if a run that is alive holds it.
            ResultError: if it can't be written.
        """
        check_parent(self._url)
        self._store = open_store(self._folder, patience=PATIENCE)
        try:
            self._take()
        except storage_errors() as error:
            raise ResultError(explain("the output can't be written", got=reason(error), try_="another --output")) from error
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give the lease back, unless another run has it by now."""
        self._stop.set()
        self._thread.join()
        try:
            self._give_back()
        except storage_errors() as failure:
            log.warning("the lease %s stays behind: %s", self._key, reason(failure))

    def _give_back(self) -> None:
        """Remove the lease if it is this run's.

        Each deletion is asked for once: where only the answer was lost, a second one might hit the lease of the next run.
        """
        once, until = open_store(self._folder, patience=0), time.monotonic() + PATIENCE
        while self._is_ours():
            try:
                delete_key(once, self._key)
            except storage_errors():
                if time.monotonic() > until:
                    raise
                time.sleep(SETTLE_SECONDS)
            else:
                return

    def _take(self) -> None:
        write_new_key(self._store, self._key, self._encoded())
        holder = self._read()
        if holder is not None and holder.nonce != self._holder.nonce:
            if not self._is_dead(holder):
                raise ResultInUseError(self._in_use(holder))
            log.warning("taking over from run %d on %s, which is dead", holder.pid, holder.host)
            write_key(self._store, self._key, self._encoded())
            time.sleep(SETTLE_SECONDS)
        elif holder is None:  # damaged, or gone between the two calls
            write_key(self._store, self._key, self._encoded())
            time.sleep(SETTLE_SECONDS)
        winner = self._read()
        if winner is None or winner.nonce != self._holder.nonce:
            raise ResultInUseError(self._in_use(winner or self._holder))

    def _is_dead(self, holder: Holder) -> bool:
        """Tell whether a run is gone: seen at once on its own machine, believed after a while elsewhere.

        Clocks of two machines may be hours apart, so none is compared with another: the storage's own says how old the lease
        is, and where only the other machine's would say that it is old, it counts what changes while one watches.
        """
        if holder.is_here:
            return not holder.lives_here
        if self._age() > EXPIRE_SECONDS:
            return True
        return time.time() - holder.renewed > EXPIRE_SECONDS and not self._changes(holder)

    def _age(self) -> float:
        """Return the seconds since the lease was renewed, by the storage's clock; of one that is gone since, none."""
        probe = f"{self._key}.{self._holder.nonce}"
        write_key(self._store, probe, b"")
        now, then = last_modified(self._store, probe), last_modified(self._store, self._key)
        delete_key(self._store, probe)
        return 0.0 if now is None or then is None else max(0.0, now - then)

    def _changes(self, holder: Holder) -> bool:
        """Watch a lease for as long as it takes to be renewed twice; tell whether it was."""
        log.warning("watching whether run %d on %s is alive, for %.0f s", holder.pid, holder.host, 2 * RENEW_SECONDS)
        until = time.monotonic() + 2 * RENEW_SECONDS
        while time.monotonic() < until:
            time.sleep(RENEW_SECONDS / 10)
            if self._read() != holder:
                return True
        return False

    def _in_use(self, holder: Holder) -> str:
        who = f"run {holder.pid} on {holder.host}, renewed {self._age():.0f} s ago"
        return explain(f"{self._url} is being written by another run", got=who, try_="again when it is done")

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            try:
                holder = self._read()
                self._is_gone = holder is None
                self.lost = holder is None or holder.nonce != self._holder.nonce
                if not self.lost:
                    write_key(self._store, self._key, self._encoded())
                    self._renewed = time.monotonic()
            except storage_errors() as error:
                log.warning("the lease %s can't be renewed: %s", self._key, reason(error))
                self.lost = time.monotonic() - self._renewed > EXPIRE_SECONDS
            if self.lost:
                log.error("the lease on %s is lost", self._url)
                return

    def _encoded(self) -> bytes:
        return json.dumps({**asdict(self._holder), "renewed": time.time()}).encode()

    def _is_ours(self) -> bool:
        holder = self._read()
        return holder is not None and holder.nonce == self._holder.nonce

    def _read(self) -> Holder | None:
        return _read(self._store, self._key)


def is_held(url: str) -> bool:
    """Tell whether a run that is alive holds a result, as far as can be seen without writing; if it can't be seen, it may.

    Of a run on another machine the age of its lease tells, by this machine's clock.
    """
    folder, key = _place(url)
    try:
        store = open_store(folder, read_only=True)
        holder, renewed = _read(store, key), last_modified(store, key)
    except storage_errors():
        return True
    if holder is None or renewed is None:
        return False
    return holder.lives_here if holder.is_here else time.time() - renewed <= EXPIRE_SECONDS


def _place(url: str) -> tuple[str, str]:
    """Return the folder and the name of a result's lease: a key, in which no control characters and broken letters may be."""
    location = locate(url)
    name = "".join(f"%{ord(letter):x}" if category(letter) in ("Cc", "Cs") else letter for letter in location.name)
    return location.parent, f".{name}.lease"


def _read(store: Store, key: str) -> Holder | None:
    """Return who holds a lease; None if nobody does or what is written there makes no sense."""
    raw = read_key(store, key)
    try:
        said = None if raw is None else Holder(**json.loads(raw))
    except (ValueError, TypeError):
        return None
    words = () if said is None else (said.nonce, said.host, said.machine, said.started)
    numbers = () if said is None else (said.pid, said.renewed)
    is_sound = all(type(word) is str for word in words) and all(type(number) in (int, float) for number in numbers)
    return said if is_sound else None


def _machine() -> str:
    """Return what tells machines, their restarts and containers apart."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        processes = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot = processes = ""
    return f"{socket.gethostname()} {boot} {processes}"


def _started(pid: int) -> str | None:
    """Return when a process of this machine started; None if it is gone, "" if the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return "" if not Path("/proc/self/stat").exists() and _answers(pid) else None
    except OSError:
        return None
    after_name = stat.rpartition(")")[2].split()
    return None if after_name[0] in "ZX" else after_name[19]


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
