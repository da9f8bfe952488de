"""A client that knows no more than an address: it learns by reflection what may be called, and calls it.

usage: reflection.py COORDINATOR_HOST:PORT CA_FILE [TOKEN]

Prints one JSON object: the services, the methods of the fleet's, what a question for work without a node's credential is
told, and the fields of a question, as the coordinator itself describes them.
"""

import json
import sys
from pathlib import Path

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

FLEET = "muster.fleet.v1.FleetService"


class Bearer(grpc.AuthMetadataPlugin):
    """Shows a token with every call, as `grpcurl -H` does."""

    def __init__(self, token):
        self.token = token

    def __call__(self, context, callback):
        callback([("authorization", f"Bearer {self.token}")], None)


def main():
    address, ca_file, *token = sys.argv[1:]
    credentials = grpc.ssl_channel_credentials(Path(ca_file).read_bytes())
    if token:
        shown = grpc.metadata_call_credentials(Bearer(token[0]))
        credentials = grpc.composite_channel_credentials(credentials, shown)
    with grpc.secure_channel(address, credentials) as channel:
        reflected = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(reflected)
        fleet = pool.FindServiceByName(FLEET)
        ask = fleet.methods_by_name["WaitOrder"]
        question, answer = GetMessageClass(ask.input_type), GetMessageClass(ask.output_type)
        call = channel.unary_unary(f"/{FLEET}/WaitOrder", question.SerializeToString, answer.FromString)
        try:
            told = call(question(node_id="nobody", wait_ms=1), timeout=30).WhichOneof("order")
        except grpc.RpcError as error:
            told = error.code().name
        seen = {
            "services": sorted(reflected.get_services()),
            "methods": sorted(fleet.methods_by_name),
            "fields": sorted(ask.input_type.fields_by_name),
            "told": told,
        }
    print(json.dumps(seen))


main()
