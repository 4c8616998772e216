"""Checks and watches the health of the example's server. Argument: its address."""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def main():
    with grpc.insecure_channel(sys.argv[1]) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest
        for _ in range(100):
            assert health.Check(request(), timeout=30).status == SERVING
        try:
            health.Check(request(service="no such"), timeout=30)
            raise AssertionError("a service that does not exist has a state")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND, error

        # Calls at the same time, on one connection.
        futures = [health.Check.future(request(), timeout=30) for _ in range(100)]
        assert all(future.result().status == SERVING for future in futures)

        # A stream: the state now, and its changes.
        watch = health.Watch(request(service="clock"), timeout=30)
        states = [next(watch).status for _ in range(3)]
        assert states in ([SERVING, NOT_SERVING, SERVING], [NOT_SERVING, SERVING, NOT_SERVING]), states
        watch.cancel()
        assert health.Check(request(), timeout=30).status == SERVING


main()
