"""Succeeds when the MongoDB server on a port of this machine takes writes; with "initiate", makes it a replica set of one.

    primary.py PORT [initiate]

The wire protocol by hand: no shell and no driver is needed. Messages are OP_MSG with one document.
"""

import socket
import struct
import sys

OP_MSG = 2013
STRING, DOCUMENT, ARRAY, BOOLEAN, INT32 = 2, 3, 4, 8, 16


def encode(document):
    elements = b"".join(element(name, value) for name, value in document.items())
    return struct.pack("<i", len(elements) + 5) + elements + b"\0"


def element(name, value):
    if isinstance(value, str):
        text = value.encode() + b"\0"
        kind, data = STRING, struct.pack("<i", len(text)) + text
    elif isinstance(value, int):
        kind, data = INT32, struct.pack("<i", value)
    elif isinstance(value, list):
        kind, data = ARRAY, encode({str(i): v for i, v in enumerate(value)})
    else:
        kind, data = DOCUMENT, encode(value)
    return bytes([kind]) + name.encode() + b"\0" + data


def command(connection, document):
    """The answer as bytes: enough to look for what we want to know."""
    body = struct.pack("<iB", 0, 0) + encode(document | {"$db": "admin"})
    connection.sendall(struct.pack("<iiii", len(body) + 16, 1, 0, OP_MSG) + body)
    answer = connection.recv(4, socket.MSG_WAITALL)
    return connection.recv(struct.unpack("<i", answer)[0] - 4, socket.MSG_WAITALL)


def main():
    port = sys.argv[1]
    with socket.create_connection(("127.0.0.1", int(port)), timeout=5) as connection:
        if sys.argv[2:] == ["initiate"]:
            # Refused when it is done already.
            member = {"_id": 0, "host": f"127.0.0.1:{port}"}
            command(connection, {"replSetInitiate": {"_id": "rs0", "members": [member]}})
        answer = command(connection, {"hello": 1})
    is_primary = bytes([BOOLEAN]) + b"isWritablePrimary\0\1" in answer
    sys.exit(0 if is_primary else 1)


main()
