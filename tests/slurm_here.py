"""A Slurm of this machine's own: a controller and several nodes on loopback, with a configuration in a folder of its own.

It needs Debian's packages ``slurm-wlm`` and ``munge``, and no privileges. Only what was started here is ended.
"""

import contextlib
import getpass
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "srun", "setpriv")

CONFIGURATION = """
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
MailProg=/bin/true
ReturnToService=2
SlurmdTimeout=10
KillWait=20
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=4000\n"


class NoSlurmError(Exception):
    """Why there is no Slurm to be had."""


class Slurm:
    """A running Slurm; use it as a context."""

    def __init__(self, nodes=2):
        missing = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
        if missing:
            raise NoSlurmError(f"no {', '.join(missing)} (Debian has them in slurm-wlm and munge)")
        self.nodes = [f"node{1 + i}" for i in range(nodes)]
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "SLURM_", "SBATCH_"))}
        self.environment = {**keep, "SLURM_CONF": f"{self.folder}/slurm.conf", "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        self._started = {}

    def __enter__(self):
        try:
            self._configure()
            socket_path = self.folder / "munge.socket"
            words = [f"--{kind}-file={self.folder}/munge.{kind}" for kind in ("key", "log", "pid", "seed")]
            self._start("munged", "--foreground", f"--socket={socket_path}", "--num-threads=4", *words)
            self._until(socket_path.exists, "munged")
            self._start("slurmctld", "-D")
            for name in self.nodes:
                self.start_node(name)
            self._until(lambda: self.run("sinfo", "-h", "-t", "idle", "-o", "%D").strip() == str(len(self.nodes)), "slurmctld")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_):
        self.run("scancel", "--user", getpass.getuser())
        self.until(lambda: not self.run("squeue", "-h"), 60)
        self._end()

    def _configure(self):
        self.folder.chmod(0o711)  # who may send a message to munged must reach its socket
        for name in ("state", *(f"spool-{node}" for node in self.nodes)):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        host, ports = socket.gethostname().partition(".")[0], free_ports(1 + len(self.nodes))
        text = CONFIGURATION.format(host=host, ports=ports, folder=self.folder, user=getpass.getuser())
        for name, port in zip(self.nodes, ports[1:], strict=True):
            text += NODE.format(name=name, host=host, port=port)
        (self.folder / "slurm.conf").write_text(f"{text}PartitionName=all Nodes=ALL Default=YES State=UP\n")

    def _start(self, name, *words, log=None):
        words = ["setpriv", "--pdeathsig", "TERM", name, *words]  # so that it ends with the tests, however those end
        log = self.folder / f"{log or name}.out"
        with log.open("w") as out:
            self._started[log.stem] = subprocess.Popen(
                words, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    def start_node(self, name):
        """Start a node, for the first time or after it was lost."""
        self._start("slurmd", "-D", "-N", name, log=name)

    def _until(self, condition, name):
        for _ in range(150):
            if condition():
                return
            if self._started[name].poll() is not None:
                break
            time.sleep(0.1)
        raise NoSlurmError(f"{name} did not start here: {(self.folder / f'{name}.out').read_text()[-500:]}")

    def _end(self):
        for process in reversed(self._started.values()):
            process.terminate()
        for process in reversed(self._started.values()):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *words):
        """Run one of Slurm's commands and return what it says."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout

    def submit(self, folder, *words):
        """Submit from a folder; return the job's number."""
        done = subprocess.run(
            ["sbatch", "--parsable", *map(str, words)],
            env=self.environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def facts(self, job):
        """Return what Slurm knows of a job (of an array: of the task named last), by Slurm's names."""
        return dict(re.findall(r"(\w+)=(\S*)", self.run("scontrol", "--oneliner", "show", "job", str(job))))

    def until(self, condition, seconds):
        """Wait for something, for so many seconds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited {seconds} s in vain; {self.run('scontrol', '--oneliner', 'show', 'job')}"
            time.sleep(0.1)

    def wait(self, job, seconds=200):
        """Wait until a job is over; return its facts. One that was put back into the queue need not wait there."""

        def is_over():
            facts = self.facts(job)
            if facts["JobState"] == "PENDING" and facts["Reason"] == "BeginTime":
                self.run("scontrol", "update", f"JobId={job}", "StartTime=now")
            return facts["JobState"] not in {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED"}

        self.until(is_over, seconds)
        return self.facts(job)

    def processes(self, job, node=None):
        """Return the processes of a job (on one of the nodes), without Slurm's own."""
        wanted = {"SLURM_CONF": self.environment["SLURM_CONF"], "SLURM_JOB_ID": str(job)}
        wanted |= {"SLURMD_NODENAME": node} if node else {}
        return [one for one in psutil.process_iter() if wanted.items() <= environment_of(one).items()]

    @contextlib.contextmanager
    def without(self, node, job):
        """Lose a node; it is back afterwards, and empty."""
        self.lose(node, job)
        try:
            yield
        finally:
            self.start_node(node)

    def lose(self, node, job):
        """Let a node vanish with all that runs on it, without a word, as when its power fails."""
        parents = [parent for one in self.processes(job, node) if (parent := one.parent())]
        steps = [one for one in parents if one.name().startswith("slurmstepd")]
        scripts = [child for step in steps for child in step.children()]
        # Children before their parents: an srun has one that would cancel the step when it sees srun go.
        below = [child for script in scripts for child in reversed(script.children(recursive=True))]
        self._kill([psutil.Process(self._started[node].pid), *steps, *scripts, *below])
        while begun_meanwhile := self.processes(job, node):
            self._kill(begun_meanwhile)
        self._started[node].wait(10)

    def _kill(self, processes):
        for one in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


def environment_of(process):
    try:
        return process.environ()
    except psutil.Error:
        return {}


def free_ports(count):
    """Return numbers of ports that are free, on loopback."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
