"""Store a model's convolutions in half precision, as those that come with the package are.

    python configs/halve.py runs/nuclei/last.safetensors slideseg/model/weights/nuclei.safetensors

Nothing else of the file is changed.
"""

from __future__ import annotations

import argparse

from safetensors import safe_open
from safetensors.torch import save_file


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model")
    parser.add_argument("target")
    wanted = parser.parse_args()
    with safe_open(wanted.model, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        halved = {name: tensor.half() if tensor.ndim == 4 else tensor for name, tensor in tensors.items()}
        save_file(halved, wanted.target, file.metadata())


if __name__ == "__main__":
    main()
