"""A version's artifact: learner, tensors with the range of their weights, configuration, int8 weights.

Little-endian, as `federation::model` documents it: the magic `MUSTERv1`; the learner, after its length in a byte; the
number of tensors in a byte, and of each its name after its length in a byte, rows and columns as 32-bit numbers, least and
greatest weight as bytes; the configuration after its length in 32 bits; the weights, tensor by tensor, row by row.
"""

import struct

import numpy as np

MAGIC = b"MUSTERv1"


def read(data):
    """The learner, the configuration and a dict of int8 arrays, in the order of the layout."""
    if data[:8] != MAGIC:
        raise ValueError("this is not an artifact: it does not begin with MUSTERv1")
    at = 8

    def take(form):
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values if len(values) > 1 else values[0]

    learner = take(f"{take('B')}s").decode()
    shapes = []
    for _ in range(take("B")):
        name = take(f"{take('B')}s").decode()
        rows, columns, _least, _greatest = take("IIbb")
        shapes.append((name, rows, columns))
    config = take(f"{take('I')}s")
    weights = {}
    for name, rows, columns in shapes:
        weights[name] = np.frombuffer(data, np.int8, rows * columns, at).reshape(rows, columns)
        at += rows * columns
    return learner, config, weights


def write(learner, config, weights):
    """The artifact of a dict of two-dimensional int8 arrays; every weight may be -128 to 127."""
    layout = b"".join(
        struct.pack(f"<B{len(name)}sIIbb", len(name), name.encode(), *tensor.shape, -128, 127)
        for name, tensor in weights.items()
    )
    head = struct.pack(f"<B{len(learner)}sB", len(learner), learner.encode(), len(weights))
    body = b"".join(tensor.astype(np.int8).tobytes() for tensor in weights.values())
    return MAGIC + head + layout + struct.pack("<I", len(config)) + config + body
