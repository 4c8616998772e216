"""Checks and watches the health of the example's server. Argument: its address."""

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

# How long a call may take.
LIMIT = 60 * int(os.environ.get("ANNULUS_PATIENCE", "1"))

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def main():
    with grpc.insecure_channel(sys.argv[1]) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest
        for _ in range(100):
            assert health.Check(request(), timeout=LIMIT).status == SERVING
        try:
            health.Check(request(service="no such"), timeout=LIMIT)
            raise AssertionError("a service that does not exist has a state")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND, error

        # Calls at the same time, on one connection.
        futures = [health.Check.future(request(), timeout=LIMIT) for _ in range(100)]
        assert all(future.result().status == SERVING for future in futures)

        # A stream: the state now, and its changes.
        watch = health.Watch(request(service="clock"), timeout=LIMIT)
        states = []
        while len(states) < 3:
            status = next(watch).status
            # Two changes at once are none, where the machine is busy.
            if states[-1:] != [status]:
                states.append(status)
        assert states in ([SERVING, NOT_SERVING, SERVING], [NOT_SERVING, SERVING, NOT_SERVING]), states
        watch.cancel()
        assert health.Check(request(), timeout=LIMIT).status == SERVING


main()
