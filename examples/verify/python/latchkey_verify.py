"""Verifies Latchkey access tokens with only Python's standard library (3.9 or later).

    claims = verify(token, issuer=..., audience=..., secret=..., redis_url=...)

It follows docs/verify-tokens.md in this order: form, signature, claims, and then one look-up in Redis.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import socket
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


def verify(token, *, issuer, audience, secret, redis_url):
    claims = check(token, issuer=issuer, audience=audience, secret=secret)
    if not is_live(claims, redis_url):
        raise Refused("revoked")
    return claims


def check(token, *, issuer, audience, secret):
    """Checks form, signature and claims, without I/O."""
    if len(token) > 8192 or not re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token, re.ASCII):
        raise Refused("malformed")
    encoded_header, encoded_claims, encoded_signature = token.split(".")

    # We choose the algorithm, never the token. A header with a key or its address (jwk, jku, x5u) is refused.
    header = decode_object(encoded_header)
    if header.get("alg") != "HS256" or header.get("typ") not in ("at+jwt", "application/at+jwt"):
        raise Refused("unsupported header")
    if not set(header) <= {"alg", "typ", "kid"}:
        raise Refused("unsupported header")
    # With several secrets, `kid` names the secret: the RFC 7638 thumbprint of {"k": base64url(secret), "kty": "oct"}.
    expected = hmac.new(secret.encode(), f"{encoded_header}.{encoded_claims}".encode(), hashlib.sha256).digest()
    if not hmac.compare_digest(decode(encoded_signature), expected):
        raise Refused("bad signature")

    claims = decode_object(encoded_claims)
    if claims.get("iss") != issuer:
        raise Refused("wrong issuer")
    if claims.get("aud") != audience:
        raise Refused("wrong audience")
    exp, iat, now = claims.get("exp"), claims.get("iat"), time.time()
    if type(exp) is not int or type(iat) is not int or exp - iat > MAX_LIFETIME:
        raise Refused("bad claims")
    if now >= exp:
        raise Refused("expired")
    if iat > now + CLOCK_LEEWAY:
        raise Refused("not valid yet")
    if not all(isinstance(claims.get(name), str) for name in ("sub", "jti", "client_id", "scope")):
        raise Refused("bad claims")
    if "sid" in claims:
        if not isinstance(claims["sid"], str):
            raise Refused("bad claims")
    elif claims["sub"] != claims["client_id"]:
        raise Refused("bad claims")
    return claims


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
    return claims["iat"] >= int(epoch) and claims["iat"] > int(not_before or 0)


def redis(url, *command):
    """Sends one command. A real service keeps a connection, or uses the pool of a client library."""
    address = urlsplit(url)
    commands = [command]
    if address.password:
        credentials = [unquote(part) for part in (address.username, address.password) if part]
        commands.insert(0, ("AUTH", *credentials))
    try:
        with socket.create_connection((address.hostname, address.port or 6379), REDIS_TIMEOUT) as connection:
            connection.settimeout(REDIS_TIMEOUT)
            connection.sendall(b"".join(map(encode_command, commands)))
            with connection.makefile("rb") as answers:
                return [read_answer(answers) for _ in commands][-1]
    except (OSError, ValueError) as error:
        raise Unavailable(f"Redis failed: {error}") from error


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
    if kind == b"$":
        return None if text == b"-1" else answers.read(int(text) + 2)[:-2].decode()
    raise ValueError(text.decode())


def decode(text):
    """Decodes base64url. Without padding and with zero trailing bits, a value has one spelling."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise Refused("malformed") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
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
                    secret=os.environ["JWT_SECRET"],
                    redis_url=os.environ["REDIS_URL"],
                )
            )
        )
    except Refused as reason:
        sys.exit(f"refused: {reason}")
    except Unavailable as reason:
        print(f"unavailable: {reason}", file=sys.stderr)
        sys.exit(2)
