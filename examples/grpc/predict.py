"""Tidemill with only grpcio and the generated stubs: a call, a stream, the details of an error.

python examples/grpc/predict.py [HOST:PORT] [TASK]
"""

import argparse
import sys

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status

from tidemill.v1.prediction_service_pb2 import PredictRequest, StreamPredictRequest
from tidemill.v1.prediction_service_pb2_grpc import PredictionServiceStub

TEXTS = ["my card has not arrived", "I forgot my password", ""]


def main(address: str, task: str) -> None:
    """Send one text, then several over a stream, then one that breaks a rule."""
    with grpc.insecure_channel(address) as channel:
        stub = PredictionServiceStub(channel)

        answer = stub.Predict(PredictRequest(task=task, text=TEXTS[0], top_k=2), timeout=10)
        print(f"unary: {answer.prediction.label} ({answer.prediction.confidence:.2f})")

        requests = (
            StreamPredictRequest(id=str(number), task=task, text=text)
            for number, text in enumerate(TEXTS)
        )
        for response in stub.StreamPredict(requests):  # in order
            kind = response.WhichOneof("result")
            said = response.error.message if kind == "error" else response.prediction.label
            print(f"stream {response.id}: {kind}: {said}")

        try:
            stub.Predict(PredictRequest(task=task, text=""), timeout=10)
        except grpc.RpcError as error:
            explain(error)


def explain(error: grpc.RpcError) -> None:
    """Print the details of an error besides its code and message."""
    status = rpc_status.from_call(error)
    if status is None:  # gRPC's own error: no server answered
        print(f"error: {error.code().name}: {error.details()}")
        return
    info, bad_request = ErrorInfo(), BadRequest()
    for detail in status.details:
        if detail.Unpack(info):
            print(f"error: {info.reason}")
        elif detail.Unpack(bad_request):
            for violation in bad_request.field_violations:
                print(f"  {violation.field}: {violation.description}")
    if not bad_request.field_violations:
        print(f"  {status.message}")


def arguments() -> argparse.Namespace:
    """Return the arguments of the command."""
    parser = argparse.ArgumentParser(description="Ask a server over gRPC.")
    parser.add_argument("address", nargs="?", default="127.0.0.1:50051", metavar="HOST:PORT")
    parser.add_argument("task", nargs="?", default="support", metavar="TASK")
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    try:
        main(given.address, given.task)
    except grpc.RpcError as error:
        explain(error)
        sys.exit(1)
