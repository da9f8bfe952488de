"""A node in Python: enrols, learns what its own sensor shows it, and pushes 8-bit updates.

    python -m grpc_tools.protoc -I proto --python_out=gen --grpc_python_out=gen muster/fleet/v1/fleet.proto
    PYTHONPATH=gen python node.py --coordinator HOST:7401 --name py-1 --classes 0,1 [--ca-file CA --token-file TOKEN]

Its learner is not a chip but `linear/1`: 16 features, 4 classes, one int8 weight between each two. The coordinator does not
mind: to it a model is a layout of bounded integers. The node's sensor shows only some of the classes, so that it takes a
fleet to know them all. It ends when its coordinator has had no work for `--rounds-idle` questions in a row.
"""

import argparse
import hashlib
import secrets
import time
from pathlib import Path

import artifact
import grpc
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from muster.fleet.v1 import fleet_pb2 as pb
from muster.fleet.v1 import fleet_pb2_grpc as rpc

FEATURES, CLASSES, LEARNER, CHUNK = 16, 4, "linear/1", 65_536
TRY_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)
SHAPES = np.random.default_rng(2022).normal(size=(CLASSES, FEATURES))


def sense(rng, classes, count):
    """So many samples of what the sensor shows: features, and the class of each."""
    labels = rng.choice(classes, count)
    return SHAPES[labels] + rng.normal(scale=1.6, size=(count, FEATURES)), labels


def learn(weights, features, labels, rate=4.0):
    """One pass of softmax regression; how many it classified correctly before it learned from them."""
    correct = 0
    for x, label in zip(features, labels):
        scores = x @ weights / 32
        correct += int(scores.argmax() == label)
        odds = np.exp(scores - scores.max())
        weights += rate * np.outer(x, np.eye(CLASSES)[label] - odds / odds.sum())
    return correct


def enrol(stub, args):
    """Presents the node by its key and, where it has a token, shows that it may come in. The metadata of all calls."""
    args.state.mkdir(parents=True, exist_ok=True)
    path = args.state / "secret"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(secrets.token_bytes(64))
    key, credential = Ed25519PrivateKey.from_private_bytes(path.read_bytes()[:32]), path.read_bytes()[32:]
    metadata = [("authorization", f"Bearer msn_{args.name}_{credential.hex()}")]
    request = pb.EnrolRequest(public_key=key.public_key().public_bytes_raw(), node_id=args.name, learners=[LEARNER])
    request.labels.add(key="lang", value="python")
    if args.token_file:
        token = args.token_file.read_text().strip()
        digest = hashlib.sha256(credential).digest()
        number = int(token.split("_")[1]).to_bytes(8, "big")
        text = b"muster enrolment 1\0" + request.public_key + number + digest + args.name.encode()
        request.proof.CopyFrom(pb.EnrolProof(token=token, credential_digest=digest, signature=key.sign(text)))
    answer = stub.Enrol(request, timeout=30, metadata=metadata)
    if answer.WhichOneof("result") == "refused":
        raise SystemExit(f"not let in: {answer.refused.message} [{answer.refused.code}]")
    return metadata


def update(header, payload):
    """The messages of an update: first what it is, which the coordinator judges, then its bytes."""
    yield pb.PushUpdateRequest(header=header)
    for at in range(0, len(payload), CHUNK):
        yield pb.PushUpdateRequest(chunk=payload[at : at + CHUNK])


def work(stub, args, order, residual, metadata):
    """One order: fetch, try, learn, push. What did not fit into 8 bits is kept for the next one."""
    wanted = pb.FetchVersionRequest(node_id=args.name, digest=order.base_digest)
    version = b"".join(part.chunk for part in stub.FetchVersion(wanted, timeout=60, metadata=metadata))
    if hashlib.sha256(version).digest() != order.base_digest:
        raise SystemExit("the version's digest is not the order's")
    base = artifact.read(version)[2]["w"].astype(float)
    held_out = sense(np.random.default_rng(99), range(CLASSES), order.evaluate_samples)
    if order.evaluate_samples:
        correct = int(((held_out[0] @ base).argmax(axis=1) == held_out[1]).sum())
        report = pb.ReportEvaluationRequest(node_id=args.name, model=order.model, digest=order.base_digest,
                                            samples=order.evaluate_samples, correct=correct)
        stub.ReportEvaluation(report, timeout=30, metadata=metadata)
    local, rng, correct = base.copy(), np.random.default_rng(order.seed), 0
    samples = sense(rng, args.classes, order.samples)
    for _ in range(order.epochs):
        correct += learn(local, *samples)
    wanted = local - base + residual
    delta = np.clip(np.rint(wanted), -127, 127).astype(np.int8)
    payload = delta.tobytes()
    header = pb.UpdateHeader(
        node_id=args.name, round=order.round, base_digest=order.base_digest, payload_bytes=len(payload),
        payload_digest=hashlib.sha256(payload).digest(), samples=order.samples * order.epochs, correct=correct,
        bytes_down=len(version),
    )
    # Should the answer be lost, the coordinator gives the same order again, and the same update counts once.
    answer = stub.PushUpdate(update(header, payload), timeout=60, metadata=metadata)
    counted = answer.WhichOneof("result") == "receipt"
    print(f"round {order.round.round}: {'counted' if counted else answer.refused.code}", flush=True)
    return wanted - delta if counted else residual


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coordinator", required=True, help="the gRPC door, HOST:PORT")
    parser.add_argument("--name", required=True)
    parser.add_argument("--classes", type=lambda text: [int(one) for one in text.split(",")], default=range(CLASSES))
    parser.add_argument("--state", type=Path, default=Path("node-state"))
    parser.add_argument("--ca-file", type=Path, help="certificates that the coordinator's is checked against; implies TLS")
    parser.add_argument("--token-file", type=Path, help="an enrolment token")
    parser.add_argument("--rounds-idle", type=int, default=0, help="end after so many questions without work; 0: never")
    args = parser.parse_args()
    if args.ca_file:
        channel = grpc.secure_channel(args.coordinator, grpc.ssl_channel_credentials(args.ca_file.read_bytes()))
    else:
        channel = grpc.insecure_channel(args.coordinator)
    with channel:
        stub = rpc.FleetServiceStub(channel)
        metadata, residual, idle = enrol(stub, args), 0.0, 0
        while not args.rounds_idle or idle < args.rounds_idle:
            try:
                request = pb.WaitOrderRequest(node_id=args.name, wait_ms=1_000 if args.rounds_idle else 30_000)
                answer = stub.WaitOrder(request, timeout=60, metadata=metadata)
                if answer.WhichOneof("order") == "train":
                    residual, idle = work(stub, args, answer.train, residual, metadata), 0
                elif answer.WhichOneof("order") == "idle":
                    idle += 1
                    time.sleep(0 if args.rounds_idle else answer.idle.retry_after_ms / 1_000)
                else:
                    raise SystemExit(f"{answer.refused.message} [{answer.refused.code}]")
            except grpc.RpcError as error:
                if error.code() not in TRY_AGAIN:
                    raise SystemExit(f"{error.code().name}: {error.details()}")
                time.sleep(1)


if __name__ == "__main__":
    main()
