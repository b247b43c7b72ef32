# SPDX-License-Identifier: Apache-2.0
"""Serves TLS in some processes that share a socket: workers.py threads|forks PORT CERT KEY PROCESSES.

Each connection has a thread or a process of its own, and is answered with the id of the process that made its handshake.
"""

import os
import signal
import socket
import ssl
import sys
import threading

how, port, cert, key, processes = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.setpgid(0, 0)
signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))


def answer(connection):
    try:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(4096)
            tls.sendall(b"HTTP/1.0 200 OK\r\n\r\n%d\n" % os.getpid())
    except OSError as error:
        print(error, file=sys.stderr, flush=True)


listener = socket.create_server(("127.0.0.1", int(port)), backlog=512)
for _ in range(int(processes) - 1):
    if os.fork() == 0:
        break
while True:
    accepted, _ = listener.accept()
    if how == "threads":
        threading.Thread(target=answer, args=(accepted,)).start()
    elif os.fork() == 0:
        listener.close()
        answer(accepted)
        os._exit(0)
    else:
        accepted.close()
