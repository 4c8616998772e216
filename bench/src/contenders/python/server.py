"""Serves on an inherited socket: python3 -c THIS MODULE SERVICE DESCRIPTOR."""

import asyncio
import importlib
import socket
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class Sink(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.total = 0

    def data_received(self, data):
        self.total += len(data)

    def eof_received(self):
        self.transport.write(self.total.to_bytes(8, "little"))


class FanOut(asyncio.Protocol):
    members = set()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"+")
        self.members.add(transport)

    def data_received(self, data):
        for transport in self.members:
            if transport is not self.transport:
                transport.write(data)

    def connection_lost(self, error):
        self.members.discard(self.transport)


async def serve(service, descriptor):
    protocol = {"echo": Echo, "sink": Sink, "fan-out": FanOut}[service]
    listener = socket.socket(fileno=descriptor)
    server = await asyncio.get_running_loop().create_server(protocol, sock=listener, backlog=16384)
    await server.serve_forever()


_, name, service, descriptor = sys.argv
# Both asyncio and uvloop have a `new_event_loop`, and fail by name where they are not installed.
loop = importlib.import_module(name).new_event_loop()
loop.run_until_complete(serve(service, int(descriptor)))
