"""SCRAM-SHA-256 (RFC 7677) as far as the bench needs it: a verifier, and a client's answer."""

import base64
import functools
import hashlib
import hmac
import os

ITERATIONS = 4096


def b64(data):
    return base64.b64encode(data).decode()


def mac(key, text):
    return hmac.digest(key, text, "sha256")


@functools.cache
def keys(password, salt, iterations):
    """(ClientKey, StoredKey, ServerKey); cached, as a driver with many connections would."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client = mac(salted, b"Client Key")
    return client, hashlib.sha256(client).digest(), mac(salted, b"Server Key")


def verifier(password):
    salt = os.urandom(16)
    _, stored, server = keys(password, salt, ITERATIONS)
    return f"SCRAM-SHA-256${ITERATIONS}:{b64(salt)}${b64(stored)}:{b64(server)}"


def client_first():
    bare = f"n=,r={b64(os.urandom(18))}"
    return bare, f"n,,{bare}".encode()


def client_final(password, bare, server_first):
    nonce, salt, count = (part[2:] for part in server_first.decode().split(",", 2))
    client, stored, _ = keys(password, base64.b64decode(salt), int(count))
    unproved = f"c=biws,r={nonce}"
    signature = mac(stored, f"{bare},{server_first.decode()},{unproved}".encode())
    proof = bytes(a ^ b for a, b in zip(client, signature))
    return f"{unproved},p={b64(proof)}".encode()
