"""Verifies Latchkey access tokens. HS256 needs only Python's standard library (3.9 or later), ES256 needs `cryptography` too.

    keys = shared_keys([JWT_SECRET])
    claims = verify(token, issuer=..., audience=..., keys=keys, redis_url=...)

It follows docs/verify-tokens.md in this order: form, signature, claims, and then one look-up in Redis.
latchkey_follow.py beside it needs no Redis.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import socket
import ssl
import sys
import time
from urllib.parse import unquote, urlsplit

CLOCK_LEEWAY = 5
MAX_LIFETIME = 24 * 60 * 60
REDIS_TIMEOUT = 0.2


class Refused(Exception):
    """The token is refused. Never tell the caller why."""


class Unavailable(Exception):
    """The state of the token is unknown now. Never accept the token."""


def verify(token, *, issuer, audience, keys, redis_url):
    claims = check(token, issuer=issuer, audience=audience, find_key=keys.get)
    if not is_live(claims, redis_url):
        raise Refused("revoked")
    return claims


def check(token, *, issuer, audience, find_key):
    """Checks form, signature and claims. `find_key` returns the key of a `kid`, or None."""
    header, claims, signed, signature = parse(token)
    key = find_key(header["kid"])
    if key is None:
        raise Refused("unknown key")
    # The key has one algorithm. The token cannot choose another.
    if header["alg"] != key.alg:
        raise Refused("unsupported header")
    if not key.verifies(signed, signature):
        raise Refused("bad signature")
    check_claims(claims, issuer, audience)
    return claims


def parse(token):
    """Returns the header, the claims, the signed bytes and the signature. Nothing is checked but their form."""
    if len(token) > 8192 or not re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token, re.ASCII):
        raise Refused("malformed")
    encoded_header, encoded_claims, encoded_signature = token.split(".")
    header = decode_object(encoded_header)
    # A header with a key or the address of a key (jwk, jku, x5u) is refused too.
    if set(header) != {"alg", "typ", "kid"} or not all(isinstance(value, str) for value in header.values()):
        raise Refused("unsupported header")
    if header["typ"] not in ("at+jwt", "application/at+jwt"):
        raise Refused("unsupported header")
    return header, decode_object(encoded_claims), f"{encoded_header}.{encoded_claims}".encode(), decode(encoded_signature)


def check_claims(claims, issuer, audience):
    if claims.get("iss") != issuer:
        raise Refused("wrong issuer")
    if claims.get("aud") != audience:
        raise Refused("wrong audience")
    exp, iat, nbf, now = claims.get("exp"), claims.get("iat"), claims.get("nbf", 0), time.time()
    if not all(type(moment) is int for moment in (exp, iat, nbf)) or iat <= 0 or exp - iat > MAX_LIFETIME:
        raise Refused("bad claims")
    if now >= exp:
        raise Refused("expired")
    if max(iat, nbf) > now + CLOCK_LEEWAY:
        raise Refused("not valid yet")
    if not all(is_id(claims.get(name)) for name in ("sub", "jti", "client_id")):
        raise Refused("bad claims")
    if not isinstance(claims.get("scope"), str):
        raise Refused("bad claims")
    # A token that a client got for itself has no session.
    if not is_id(claims["sid"]) if "sid" in claims else claims["sub"] != claims["client_id"]:
        raise Refused("bad claims")


def is_id(value):
    return isinstance(value, str) and re.fullmatch(r"[!-~]+", value) is not None


class SharedKey:
    alg = "HS256"

    def __init__(self, secret):
        self._secret = secret
        self.kid = thumbprint({"k": encode(secret), "kty": "oct"})

    def verifies(self, signed, signature):
        return hmac.compare_digest(hmac.digest(self._secret, signed, "sha256"), signature)


class PublicKey:
    alg = "ES256"

    def __init__(self, jwk):
        from cryptography.hazmat.primitives.asymmetric import ec

        x, y = decode(jwk["x"]), decode(jwk["y"])
        if (jwk["kty"], jwk["crv"]) != ("EC", "P-256") or (len(x), len(y)) != (32, 32):
            raise ValueError("not a key of ES256")
        # It refuses a point that is not on the curve.
        self._key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + x + y)
        self.kid = jwk["kid"]

    def verifies(self, signed, signature):
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        if len(signature) != 64:
            return False
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        try:
            self._key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
            return True
        except InvalidSignature:
            return False


def shared_keys(secrets):
    """The keys of HS256 by `kid`. During a rotation, list all secrets."""
    keys = []
    for secret in secrets:
        if len(secret.encode()) < 32:
            raise ValueError("a secret is shorter than 32 bytes")
        keys.append(SharedKey(secret.encode()))
        # What `latchkey keys secret` prints is the base64url text of a key. A shared secret may look the same, so both
        # readings are keys. A token names one of them by its `kid`.
        if re.fullmatch(r"[\w-]{43}", secret, re.ASCII):
            try:
                keys.append(SharedKey(decode(secret)))
            except Refused:
                pass
    return {key.kid: key for key in keys}


def thumbprint(jwk):
    return encode(hashlib.sha256(json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode()).digest())


def is_live(claims, redis_url):
    """Looks up whether the session still lives."""
    sub = claims["sub"]
    if "sid" in claims:
        return redis(redis_url, "EXISTS", f"lk1:{{{sub}}}:s:{claims['sid']}") == 1
    # A client's own token has no session. Redis has a time up to which the client's tokens have ended. An emptied Redis
    # has lost that time, so a token from before its epoch is refused.
    not_before, epoch = redis(redis_url, "GET", f"lk1:{{{sub}}}:n"), redis(redis_url, "GET", "lk1:epoch")
    if epoch is None:
        raise Unavailable("no service writes to this Redis")
    return claims["iat"] >= unix_time(epoch) and (not_before is None or claims["iat"] > unix_time(not_before))


def unix_time(text):
    if not re.fullmatch("[0-9]{1,15}", text):
        raise Unavailable("Redis has a time that is not a number")
    return int(text)


def redis(url, *command):
    """Sends one command. A real service keeps a connection, or uses the pool of a client library."""
    address = urlsplit(url)
    if address.scheme not in ("redis", "rediss"):
        raise Unavailable("the address of Redis must begin with redis:// or rediss://")
    commands = [command]
    if address.password:
        credentials = [unquote(part) for part in (address.username, address.password) if part]
        commands.insert(0, ("AUTH", *credentials))
    try:
        with connect(address) as connection:
            connection.settimeout(REDIS_TIMEOUT)
            connection.sendall(b"".join(map(encode_command, commands)))
            with connection.makefile("rb") as answers:
                return [read_answer(answers) for _ in commands][-1]
    except (OSError, ValueError) as error:
        raise Unavailable(f"Redis failed: {error}") from error


def connect(address):
    connection = socket.create_connection((address.hostname, address.port or 6379), REDIS_TIMEOUT)
    if address.scheme == "redis":
        return connection
    # The password goes out only after the certificate has been checked.
    try:
        return ssl.create_default_context().wrap_socket(connection, server_hostname=address.hostname)
    except BaseException:
        connection.close()
        raise


def encode_command(words):
    parts = [f"*{len(words)}\r\n".encode()]
    for word in words:
        data = word.encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


def read_answer(answers):
    line = answers.readline()
    kind, text = line[:1], line[1:-2]
    if not line.endswith(b"\r\n"):
        raise ValueError("the answer was cut off")
    if kind == b":":
        return int(text)
    if kind == b"+":
        return text.decode()
    if kind == b"$" and text == b"-1":
        return None
    if kind == b"$":
        data = answers.read(int(text) + 2)
        if len(data) != int(text) + 2:
            raise ValueError("the answer was cut off")
        return data[:-2].decode()
    raise ValueError(text.decode())


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    """Decodes base64url. Without padding and with zero trailing bits, a value has one spelling."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise Refused("malformed") from None
    if encode(data) != text:
        raise Refused("malformed")
    return data


def decode_object(text):
    def without_twins(pairs):
        # Two parsers may read a repeated member in two ways.
        if len(dict(pairs)) < len(pairs):
            raise Refused("malformed")
        return dict(pairs)

    try:
        value = json.loads(decode(text).decode("utf-8"), object_pairs_hook=without_twins)
    except (ValueError, RecursionError):
        raise Refused("malformed") from None
    if not isinstance(value, dict):
        raise Refused("malformed")
    return value


if __name__ == "__main__":
    try:
        print(
            json.dumps(
                verify(
                    sys.stdin.read().strip(),
                    issuer=os.environ["ISSUER"],
                    audience=os.environ["AUDIENCE"],
                    keys=shared_keys([os.environ["JWT_SECRET"]]),
                    redis_url=os.environ["REDIS_URL"],
                )
            )
        )
    except Refused as reason:
        sys.exit(f"refused: {reason}")
    except Unavailable as reason:
        print(f"unavailable: {reason}", file=sys.stderr)
        sys.exit(2)
