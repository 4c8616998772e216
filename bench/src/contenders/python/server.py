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


async def serve(service, descriptor):
    protocol = {"echo": Echo, "sink": Sink}[service]
    listener = socket.socket(fileno=descriptor)
    server = await asyncio.get_running_loop().create_server(protocol, sock=listener, backlog=16384)
    await server.serve_forever()


_, name, service, descriptor = sys.argv
# Both asyncio and uvloop have a `new_event_loop`, and fail by name where they are not installed.
loop = importlib.import_module(name).new_event_loop()
loop.run_until_complete(serve(service, int(descriptor)))
