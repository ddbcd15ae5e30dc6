"""Write a U-Net of Keras, with random weights, as an ONNX file: ``keras_unet.py FILE``."""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras  # type: ignore[import-not-found]
import numpy as np

WIDTHS = (16, 32, 64)
CLASSES = 3


def block(x: Any, width: int) -> Any:
    """Return two convolutions, each with its batch norm and ReLU."""
    for _ in range(2):
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    return x


def unet() -> Any:
    """Return the network, for images (N, H, W, 3) of any size."""
    keras.utils.set_random_seed(0)
    image = x = keras.Input((None, None, 3))
    kept = []
    for width in WIDTHS:
        kept.append(block(x, width))
        x = keras.layers.MaxPooling2D()(kept[-1])
    x = block(x, 2 * WIDTHS[-1])
    for width, skip in zip(WIDTHS[::-1], kept[::-1], strict=True):
        x = keras.layers.Conv2DTranspose(width, 2, strides=2, padding="same")(x)
        x = block(keras.layers.Concatenate()([skip, x]), width)
    spread = keras.initializers.RandomNormal(stddev=1.0)  # so that classes differ
    return keras.Model(image, keras.layers.Conv2D(CLASSES, 1, activation="softmax", kernel_initializer=spread)(x))


if __name__ == "__main__":
    net = unet()
    net(np.zeros((1, 64, 64, 3), np.float32))
    net.export(sys.argv[1], format="onnx", verbose=False)
