"""Opens connections to a server as fast as it can, from several threads, until its input ends.

    hand_over_client.py ADDRESS...

An address is `HOST PORT` or a path. Each connection sends a number and expects a long answer to
exactly that, and then EOF. Prints what went wrong, and in the last line how many answers were whole.
"""

import socket
import sys
import threading

THREADS_PER_ADDRESS = 2
TAIL = b"0123456789abcdef" * 2048

stop = threading.Event()
lock = threading.Lock()
whole, errors = 0, []


def connect(address):
    if " " in address:
        host, port = address.split()
        return socket.create_connection((host, int(port)), timeout=60)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(60)
    connection.connect(address)
    return connection


def ask(address, number):
    with connect(address) as connection:
        connection.sendall(b"%d\n" % number)
        answer = bytearray()
        while part := connection.recv(65536):
            answer += part
    expected = b"%d:" % number + TAIL
    if answer != expected:
        raise ValueError(f"{len(answer)} bytes of {len(expected)}")


def client(address):
    global whole
    number = 0
    while not stop.is_set():
        try:
            ask(address, number)
            with lock:
                whole += 1
        except Exception as error:
            with lock:
                errors.append(f"{address}, request {number}: {error!r}")
            # Not as fast as possible, which would be very many.
            stop.wait(0.05)
        number += 1


addresses = sys.argv[1:]
threads = [threading.Thread(target=client, args=[address]) for address in addresses * THREADS_PER_ADDRESS]
for thread in threads:
    thread.start()
sys.stdin.read()
stop.set()
for thread in threads:
    thread.join()
for error in errors:
    print(error)
print(whole, "whole")
