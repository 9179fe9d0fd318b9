"""Hostile clients over TLS: like those of `hostile`, with the port for TLS."""

import socket
import ssl
import struct
import threading
import time

from attacking.hostile import attack, hold

# The flags of a server that has room for as many clients without a login.
MANY = ("--maxclients", "12000", "--unauthenticated-clients", "10000")

HANDSHAKES_PER_SECOND, HANDSHAKERS = 2000, 8


def begin(port):
    """A connection that has sent the beginning of a handshake: a ClientHello of 512 bytes, half of them."""
    made = socket.socket()
    made.settimeout(5)
    made.connect(("127.0.0.1", port))
    made.sendall(struct.pack(">BHH", 22, 0x0301, 512) + struct.pack(">I", 1 << 24 | 508) + b"\x03\x03" + b"x" * 250)
    return made


@attack("half-open-tls", is_tls=True, flags=MANY, in_short=True)
def half_open_tls(port, scale, ready):
    """10,000 connections over TLS in the middle of their handshakes"""
    clients = []
    for _ in range(int(10_000 * scale)):
        try:
            clients.append(begin(port))
        except OSError:
            # There are as many as the limits of open files allow, of this process or of the server.
            break
    hold(clients, ready)


@attack("handshake-storm", is_tls=True, in_short=True)
def handshake_storm(port, scale, ready):
    """2,000 handshakes of TLS a second, each of a new connection"""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    began = time.monotonic()

    def shake(first):
        number = first
        while True:
            ahead = began + number / HANDSHAKES_PER_SECOND - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
            number += HANDSHAKERS
            try:
                with socket.create_connection(("127.0.0.1", port), 5) as made:
                    with context.wrap_socket(made) as client:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            except OSError:
                pass

    for first in range(HANDSHAKERS):
        threading.Thread(target=shake, args=(first,), daemon=True).start()
    hold([True], ready)


@attack("renegotiation", is_tls=True, in_short=True)
def renegotiation(port, scale, ready):
    """100 clients over TLS 1.2 ask to shake hands again, over and over, and 100 send records that are cut short"""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def ask_again(number):
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), 5) as made:
                    client = context.wrap_socket(made)
                    client.sendall(b"PING\r\n")
                    client.recv(100)
                    # Not through the session: a ClientHello, or the head of a record, as it is.
                    raw = socket.socket(fileno=client.detach())
                    raw.sendall(struct.pack(">BHHI", 22, 0x0303, 4, 1 << 24) if number % 2 else b"\x17\x03\x03\x40\x00x")
                    raw.settimeout(1)
                    while raw.recv(1000):
                        pass
                    raw.close()
            except OSError:
                pass

    for number in range(int(200 * scale)):
        threading.Thread(target=ask_again, args=(number,), daemon=True).start()
    hold([True], ready)
