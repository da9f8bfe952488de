"""Reads a model as Python sees it and checks it against the artifact; saves it again with Python's own writers.

Usage: interchange.py DIR, with latest.muster, model.npz, model.safetensors and model.nir in DIR. Prints a JSON object.
"""

import json
import struct
import sys

import h5py
import nir
import numpy as np
import safetensors
import safetensors.numpy


def artifact(path):
    """The artifact's parts, taken apart by its documented format."""
    data = open(path, "rb").read()
    assert data[:8] == b"MUSTERv1"
    at = 8

    def take(form):
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values if len(values) > 1 else values[0]

    learner = take(f"{take('B')}s").decode()
    shapes = {}
    for _ in range(take("B")):
        name = take(f"{take('B')}s").decode()
        rows, cols, least, greatest = take("IIbb")
        shapes[name] = (rows, cols, least, greatest)
    config = take(f"{take('I')}s").decode()
    tensors = {}
    for name, (rows, cols, _, _) in shapes.items():
        tensors[name] = np.frombuffer(data, np.int8, rows * cols, at).reshape(rows, cols)
        at += rows * cols
    assert at == len(data)
    return learner, shapes, config, tensors


def check_npz(path, learner, shapes, config, tensors):
    data = np.load(path, allow_pickle=False)
    assert [name.decode() for name in data["tensors"]] == list(tensors)
    for name, weights in tensors.items():
        assert data[name].dtype == np.int8 and np.array_equal(data[name], weights), name
    assert [tuple(r) for r in data["ranges"]] == [shape[2:] for shape in shapes.values()]
    assert data["learner"].item().decode() == learner
    assert bytes(data["config"]).decode() == config
    return dict(data)


def check_safetensors(path, learner, shapes, config, tensors):
    with safetensors.safe_open(path, framework="numpy") as file:
        assert set(file.keys()) == set(tensors)
        for name, weights in tensors.items():
            read = file.get_tensor(name)
            assert read.dtype == np.int8 and np.array_equal(read, weights), name
        metadata = file.metadata()
    assert metadata["learner"] == learner and metadata["config"] == config
    return metadata


def check_nir(path, learner, config, tensors):
    with h5py.File(path, "r") as file:
        names = []
        file.visit(names.append)
        assert "node/nodes/lif/v_threshold" in names, names
    graph = nir.read(path)
    assert nir.serialization.read_version(path) == "1.0"
    registers, neurons = config.split("\n\n")
    value = {name: int(number) for name, number in (line.split() for line in registers.split("\n"))}
    for name, register in (("w_inp", "WINP"), ("w_rec", "WREC"), ("w_out", "WOUT")):
        shift = value[f"SPI_FP_LOC_{register}"]
        expected = tensors[name].astype(np.float32).T * 2.0**shift
        assert np.array_equal(graph.nodes[name].weight, expected), name
    pairs = [tuple(map(int, line.split(","))) for line in neurons.split()[1:]]
    lif, li = graph.nodes["lif"], graph.nodes["li"]
    thresholds = np.repeat([threshold for _, _, threshold in pairs], 2)[: len(lif.v_threshold)]
    assert np.array_equal(lif.v_threshold, thresholds)
    alpha = np.repeat([(0x7000 | low) / 2**15 for _, low, _ in pairs], 2)[: len(lif.tau)]
    dt = graph.metadata["dt"]
    assert dt == 1e-3
    # A forward Euler step: v + dt / tau * (v_leak - v + r * i).
    assert np.allclose(1 - dt / lif.tau, alpha, rtol=0, atol=1e-7)
    assert np.allclose(dt / lif.tau * lif.r, 1, rtol=1e-6)
    assert np.allclose(1 - dt / li.tau, value["SPI_KAPPA"] / 128, rtol=0, atol=1e-7)
    assert np.allclose(dt / li.tau * li.r, 1, rtol=1e-6)
    assert not lif.v_reset.any() and not lif.v_leak.any() and not li.v_leak.any()
    assert graph.metadata["learner"] == learner and graph.metadata["config"] == config
    assert graph.nodes["input"].input_type["input"].tolist() == [tensors["w_inp"].shape[0]]
    assert graph.nodes["output"].output_type["output"].tolist() == [tensors["w_out"].shape[1]]
    return sorted(map(list, graph.edges)), graph.metadata["digest"]


def main(folder):
    learner, shapes, config, tensors = artifact(f"{folder}/latest.muster")
    arrays = check_npz(f"{folder}/model.npz", learner, shapes, config, tensors)
    metadata = check_safetensors(f"{folder}/model.safetensors", learner, shapes, config, tensors)
    edges, digest = check_nir(f"{folder}/model.nir", learner, config, tensors)
    backwards = dict(reversed(arrays.items()))
    backwards["w_inp"] = np.asfortranarray(backwards["w_inp"])
    np.savez(f"{folder}/saved.npz", **backwards, mine=np.arange(3, dtype=np.int8))
    np.savez_compressed(f"{folder}/compressed.npz", **arrays)
    safetensors.numpy.save_file(tensors, f"{folder}/saved.safetensors", metadata)
    print(json.dumps({"edges": edges, "digest": digest}))


main(sys.argv[1])
