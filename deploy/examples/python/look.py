"""Fetches a version from a coordinator, loads it into numpy, and draws its weights and what its neurons do.

    python look.py https://muster.example:7400 navigation@3 --out look --ca-file ca.pem --token-file reader.token

Writes weights.png, raster.png and weights.npz. The network is driven by random input; its dynamics are the chip's (8-bit
weights, 16-bit potentials, per-pair decay and threshold) without stochastic rounding and without order within a tick: for
the chip to the last bit use `muster`, or libreckon_c.
"""

import argparse
import hashlib
import json
import ssl
import urllib.request
from pathlib import Path

import artifact
import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402


def fetch(base, path, args):
    """The answer's bytes."""
    request = urllib.request.Request(base + path)
    if args.token_file:
        request.add_header("Authorization", "Bearer " + args.token_file.read_text().strip())
    trust = ssl.create_default_context(cafile=args.ca_file) if base.startswith("https:") else None
    with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
        return answer.read()


def parse(config):
    """Registers by name; decay and threshold of every neuron."""
    registers, neurons = config.decode().split("\n\n")
    registers = {name: int(value) for name, value in (line.split() for line in registers.splitlines())}
    pairs = np.array([line.split(",") for line in neurons.splitlines()[1:]], int)
    return registers, np.repeat((0x7000 | pairs[:, 1]) / 2**15, 2), np.repeat(pairs[:, 2], 2)


def run(weights, config, spikes_in):
    """Spikes of the recurrent neurons and potentials of the outputs, tick by tick."""
    registers, alpha, threshold = parse(config)
    inputs, recurrent = weights["w_inp"].shape
    alpha, threshold = alpha[:recurrent], threshold[:recurrent]
    scale = {name: 1 << registers.get(f"SPI_FP_LOC_{name}", 0) for name in ("WINP", "WREC", "WOUT")}
    kappa, resets = registers.get("SPI_KAPPA", 0) / 128, registers.get("SPI_RST_MODE", 0)
    w_inp = weights["w_inp"].astype(int) * scale["WINP"]
    w_rec = weights["w_rec"].astype(int) * scale["WREC"]
    w_out = weights["w_out"].astype(int) * scale["WOUT"]
    u, v = np.zeros(recurrent), np.zeros(w_out.shape[1])
    raster, outputs = [], []
    for x in spikes_in:
        fires = u >= threshold
        u = np.floor(u * alpha)
        u = np.where(fires, 0 if resets else u - threshold, u)
        v = np.floor(v * kappa)
        raster.append(fires)
        outputs.append(v)
        v = np.clip(v + fires @ w_out, -32768, 32767)
        u = np.clip(u + x @ w_inp + fires @ w_rec, -32768, 32767)
    return np.array(raster), np.array(outputs)


def draw_weights(weights, title, path):
    """The matrices, one colour scale for all, and how their values are spread."""
    figure, axes = plt.subplots(2, len(weights), figsize=(4 * len(weights), 7), layout="constrained", squeeze=False)
    most = max(1, *(np.abs(tensor.astype(int)).max() for tensor in weights.values()))
    for (above, below), (name, tensor) in zip(axes.T, weights.items()):
        image = above.imshow(tensor, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto", interpolation="nearest")
        above.set(title=f"{name}, {tensor.shape[0]} x {tensor.shape[1]}", xlabel="to", ylabel="from")
        below.hist(tensor.ravel(), bins=np.arange(-128, 129, 4), color="#3b6ea5")
        below.set(xlabel="weight", ylabel="count", yscale="log")
    figure.colorbar(image, ax=axes[0].tolist(), label="weight")
    figure.suptitle(title)
    figure.savefig(path, dpi=120)


def draw_raster(spikes_in, raster, outputs, title, path):
    """Input events, spikes and output potentials over time."""
    figure, (top, middle, low) = plt.subplots(3, sharex=True, figsize=(10, 8), layout="constrained", height_ratios=[2, 4, 2])
    for axis, spikes, name in ((top, spikes_in, "input"), (middle, raster, "recurrent neuron")):
        ticks, who = np.nonzero(spikes)
        axis.scatter(ticks, who, s=2, marker="|", color="#222222")
        axis.set(ylabel=name)
    low.plot(outputs, label=[f"output {k}" for k in range(outputs.shape[1])])
    low.set(xlabel="tick", ylabel="potential")
    low.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.suptitle(title)
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("coordinator", help="the REST address")
    parser.add_argument("model", help="MODEL, MODEL@NUMBER or MODEL@CHANNEL")
    parser.add_argument("--out", type=Path, required=True, help="a directory, which is made")
    parser.add_argument("--ticks", type=int, default=500)
    parser.add_argument("--events", type=float, default=0.02, help="chance of an event per input and tick")
    parser.add_argument("--ca-file", type=Path)
    parser.add_argument("--token-file", type=Path)
    args = parser.parse_args()
    name, _, version = args.model.partition("@")
    place = f"/v1/models/{name}/versions/{version or 'latest'}"
    about = json.loads(fetch(args.coordinator, place, args))
    data = fetch(args.coordinator, f"/v1/models/{name}/versions/{about['number']}/artifact", args)
    if hashlib.sha256(data).hexdigest() != about["digest"]:
        raise SystemExit("what was sent is not the version that its digest names")
    learner, config, weights = artifact.read(data)
    args.out.mkdir(parents=True, exist_ok=True)
    title = f"{name} version {about['number']}  ({about['digest'][:12]})"
    np.savez(args.out / "weights.npz", **weights)
    draw_weights(weights, title, args.out / "weights.png")
    if learner == "reckon/1":
        spikes_in = np.random.default_rng(1).random((args.ticks, len(weights["w_inp"]))) < args.events
        raster, outputs = run(weights, config, spikes_in)
        draw_raster(spikes_in, raster, outputs, title, args.out / "raster.png")
        print(f"{title}: {raster.mean():.3f} spikes per neuron and tick")
    else:
        print(f"{title}: learner {learner}, which this script cannot run")


if __name__ == "__main__":
    main()
