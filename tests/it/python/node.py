"""A node in another language: enrols, asks for work, fetches the base version, pushes an update, checks the answers.

usage: node.py GENERATED_MODULES_DIR COORDINATOR_HOST:PORT NODE_ID

Speaks muster.fleet.v1 through modules that grpcio-tools generated from proto/muster/fleet/v1/fleet.proto. Prints one
JSON object with what it saw. It learns nothing: its delta is 1 in every seventh weight.
"""

import hashlib
import json
import sys

sys.path.insert(0, sys.argv[1])

import grpc  # noqa: E402
from muster.fleet.v1 import fleet_pb2 as pb  # noqa: E402
from muster.fleet.v1 import fleet_pb2_grpc as rpc  # noqa: E402

CHUNK = 65_536


def push(stub, header, payload):
    def parts():
        yield pb.PushUpdateRequest(header=header)
        for at in range(0, len(payload), CHUNK):
            yield pb.PushUpdateRequest(chunk=payload[at : at + CHUNK])

    return stub.PushUpdate(parts(), timeout=30)


def main():
    _, _, address, node_id = sys.argv
    seen = {}
    with grpc.insecure_channel(address) as channel:
        stub = rpc.FleetServiceStub(channel)
        key = hashlib.sha256(node_id.encode()).digest()
        enrol = pb.EnrolRequest(
            public_key=key, node_id=node_id, labels=[pb.Label(key="lang", value="python")], learners=["reckon/1"]
        )
        first, again = (stub.Enrol(enrol, timeout=30) for _ in range(2))
        assert first == again, "enrolling twice is enrolling once"
        seen["node_id"] = first.enrolled.node_id

        while True:
            answer = stub.WaitOrder(pb.WaitOrderRequest(node_id=node_id, wait_ms=10_000), timeout=30)
            if answer.WhichOneof("order") == "train":
                break
            assert answer.WhichOneof("order") == "idle", answer
        order = answer.train
        seen["round"] = [order.round.run_id, order.round.round, order.round.attempt]

        version = b""
        for part in stub.FetchVersion(pb.FetchVersionRequest(node_id=node_id, digest=order.base_digest), timeout=30):
            kind = part.WhichOneof("part")
            assert kind in ("header", "chunk"), part
            version += part.chunk if kind == "chunk" else b""
        assert hashlib.sha256(version).digest() == order.base_digest, "the digest names the bytes"
        seen["fetched"] = len(version)

        payload = bytes(1 if lane % 7 == 0 else 0 for lane in range(order.weights))
        header = pb.UpdateHeader(
            node_id=node_id,
            round=order.round,
            base_digest=order.base_digest,
            payload_bytes=len(payload),
            payload_digest=hashlib.sha256(payload).digest(),
            samples=order.samples,
        )
        wrong = pb.UpdateHeader()
        wrong.CopyFrom(header)
        wrong.samples = 0
        seen["refused"] = push(stub, wrong, payload).refused.code

        receipt, repeated = (push(stub, header, payload) for _ in range(2))
        assert receipt.WhichOneof("result") == "receipt", receipt
        assert receipt.SerializeToString() == repeated.SerializeToString(), "a repeated update gets its first receipt"
        seen["receipt"] = receipt.receipt.payload_digest.hex()

        other = bytes(len(payload))
        header.payload_digest = hashlib.sha256(other).digest()
        seen["conflict"] = push(stub, header, other).refused.code
        evaluation = pb.ReportEvaluationRequest(
            node_id=node_id, model=order.model, digest=order.base_digest, samples=10, correct=7
        )
        seen["evaluation"] = stub.ReportEvaluation(evaluation, timeout=30).WhichOneof("result")
        try:
            stub.WaitOrder(pb.WaitOrderRequest(node_id="Not A Name"), timeout=30)
        except grpc.RpcError as error:
            seen["malformed"] = error.code().name

        def relayed():
            yield pb.RelayRequest(call_id=8, wait_order=pb.WaitOrderRequest(node_id="Not A Name"))
            yield pb.RelayRequest(call_id=9, report_evaluation=evaluation)

        answers = {answer.call_id: answer for answer in stub.Relay(relayed(), timeout=30)}
        seen["relayed"] = [answers[9].report_evaluation.WhichOneof("result"), answers[8].failed.code]
    print(json.dumps(seen))


main()
