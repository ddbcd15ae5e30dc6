"""Other programs on the same network, weights and picture as ours, in turns: time, error, memory, and how much they compute.

    python benchmarks/bench_peers.py              # all of them
    python benchmarks/bench_peers.py --peers monai dask

Each is installed into an environment of its own under build/peers, with PyTorch and this package, by the first run. It is run
with its documented defaults (``default``) and with what we found fastest without more error (``best``).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import venv
from pathlib import Path

import numpy as np
import torch
from bench_engine import others
from common import hardware, wait_politely, write_result
from plain import SIDE, Plain
from turns import Team, take_turns

from slideseg.model.bundled import find_model

HERE = Path(__file__).parent
ROOT, ASKED = HERE.parent, HERE / "peers"
"""Where environments go, and where it is said what is in them."""
PEERS = {
    "monai": "MONAI, sliding window",
    "dask": "Dask, map_overlap",
    "nnunet": "nnU-Net, sliding window",
    "tiatoolbox": "TIAToolbox, SemanticSegmentor",
}
WAYS = ("default", "best")


def python_of(peer: str, *, with_ours: bool = True) -> str:
    """Return the interpreter of a peer's environment, which is made where it is missing, with this package if wanted."""
    folder = ROOT / "build" / "peers" / peer
    python, done = folder / "bin" / "python", folder / "installed"
    alone, more = ASKED / f"{peer}_alone.txt", ASKED / f"{peer}.txt"
    wanted = "".join(file.read_text(encoding="utf-8") for file in (alone, more) if file.exists())
    if not done.exists() or done.read_text(encoding="utf-8") != wanted:
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "-q"]
        if with_ours:
            subprocess.run([*pip, f"torch=={torch.__version__.partition('+')[0]}"], check=True)
            subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), "-e", str(ROOT)], check=True)
        subprocess.run([*pip, "-r", str(more)], check=True)
        if alone.exists():  # what asks for another PyTorch, or for a build that there is not
            subprocess.run([*pip, "--no-deps", "-r", str(alone)], check=True)
        done.write_text(wanted, encoding="utf-8")
    return str(python)


def compare(peers: list[str], model: Path, threads: int, rounds: int, folder: Path) -> dict[str, dict[str, object]]:
    """Time all ways in turn."""
    torch.set_num_threads(threads)
    np.save(folder / "whole.npy", Plain(model).whole())
    teams = {"ours": Team([str(HERE / "bench_engine.py"), str(model), "--be=ours", f"--threads={threads}"], threads)}
    for peer in peers:
        for way in WAYS:
            told = str(folder / f"{peer}-{way}.json")
            words = [str(HERE / "peers_way.py"), peer, way, str(model), str(folder / "whole.npy"), told, str(threads)]
            teams[f"{peer}-{way}"] = Team(words, threads, python=python_of(peer))
    take_turns(teams.values(), rounds)
    found = {name: team.numbers(teams["ours"]) for name, team in teams.items()}
    said = {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in teams if name != "ours"}
    return {name: {**found[name], **said.get(name, {"other_classes": others("ours", model)})} for name in teams}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS), help="which of them")
    parser.add_argument("--threads", type=int, default=2, help="threads of each way")
    parser.add_argument("--rounds", type=int, default=5, help="how often each way is timed")
    given = parser.parse_args()
    wait_politely()
    busy, peers = hardware(), given.peers
    with tempfile.TemporaryDirectory() as folder:
        ways = compare(peers, find_model("nuclei"), given.threads, given.rounds, Path(folder))
    result = {"model": "nuclei", "side": SIDE, "threads": given.threads, "rounds": given.rounds}
    write_result("peers", {**result, "peers": {name: PEERS[name] for name in peers}, "ways": ways}, busy)


if __name__ == "__main__":
    main()
