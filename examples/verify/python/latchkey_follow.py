"""Verifies Latchkey access tokens from memory, and learns of each sign-out over HTTP. It needs latchkey_verify.py beside it.

    latchkey = Latchkey("https://auth.internal", "todo", "todo", CLIENT_SECRET)
    latchkey.wait_until_ready()
    claims = latchkey.verify(token)

Make one for each process, after the fork of a server such as gunicorn. The client needs the scope `introspect`.
"""

import base64
import email.utils
import http.client
import json
import os
import random
import secrets
import sys
import threading
import time
from collections import deque
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from latchkey_verify import (
    CLOCK_LEEWAY,
    MAX_LIFETIME,
    PublicKey,
    Refused,
    Unavailable,
    check,
    check_claims,
    is_id,
    parse,
    shared_keys,
)

TIMEOUT = 2
MAX_ANSWER = 4 * 1024 * 1024
FORGET_AFTER = MAX_LIFETIME + 60
EPOCH_LEEWAY = 10
REFRESH_KEYS = 5 * 60
COOL_DOWN = 10


class Latchkey:
    """Give `secret` if the service signs with HS256. Without it, such a token is introspected each time."""

    def __init__(self, service, audience, client_id, client_secret, *, issuer=None, secret=None, max_staleness=1.0):
        self._issuer, self._audience = issuer or service, audience
        self._shared = shared_keys([secret]) if secret else {}
        credentials = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}".encode()
        self._authorization = "Basic " + base64.b64encode(credentials).decode()
        self._service = service
        self._public = PublishedKeys(Service(service))
        self._feed = Feed(Service(service, self._authorization), max_staleness)

    def wait_until_ready(self, timeout=5):
        self._feed.wait_until_fresh(timeout)

    def verify(self, token):
        """Returns the claims of a live token, or raises Refused or Unavailable."""
        claims, is_signed = self._check(token)
        # In this order: what proves that memory is fresh is older than the look into memory.
        is_certain = is_signed and self._feed.is_certain_of(claims)
        if self._feed.has_ended(claims):
            raise Refused("revoked")
        if not is_certain:
            self._introspect(token, claims)
            # An answer may be older than a revocation that came meanwhile.
            if self._feed.has_ended(claims):
                raise Refused("revoked")
        return claims

    def close(self):
        self._feed.close()

    def _check(self, token):
        """Returns the claims, and whether we could check the signature."""
        header, claims, _, _ = parse(token)
        if header["alg"] == "HS256" and not self._shared:
            check_claims(claims, self._issuer, self._audience)
            return claims, False
        find_key = self._shared.get if header["alg"] == "HS256" else self._public.find
        return check(token, issuer=self._issuer, audience=self._audience, find_key=find_key), True

    def _introspect(self, token, claims):
        form = urlencode({"token": token})
        # An answer that a stopped process reads late says nothing about now. Then we ask once more.
        for _ in range(2):
            service = Service(self._service, self._authorization)
            try:
                sent = Moment.now()
                answer = service.ask("POST", "/introspect", TIMEOUT, form).body
                if sent.age() > TIMEOUT:
                    continue
            finally:
                service.close()
            if answer.get("active") is False:
                raise Refused("revoked")
            if answer.get("active") is not True or answer.get("jti") != claims["jti"]:
                raise Unavailable("the introspection answer is not about this token")
            return
        raise Unavailable("introspection is too slow")


class Moment(NamedTuple):
    """A moment on two clocks. The monotonic clock may stand still in a suspended machine. The wall clock may be set."""

    monotonic: float
    wall: float

    @classmethod
    def now(cls):
        return cls(time.monotonic(), time.time())

    def age(self):
        """Seconds by the clock that moved further: nothing looks fresher than it is."""
        return max(time.monotonic() - self.monotonic, time.time() - self.wall)

    def least_age(self):
        return min(time.monotonic() - self.monotonic, time.time() - self.wall)


class Proof(NamedTuple):
    """Every revocation until `known_for` seconds after `sent` is in memory. Nothing is known of tokens before `epoch`."""

    sent: Moment
    known_for: float
    epoch: int


class Feed:
    """The revocations in memory. One thread reads them, and any thread may ask."""

    def __init__(self, service, max_staleness):
        self._service, self._max_staleness = service, max_staleness
        self._wait = int(min(250, max_staleness * 250))
        self._sids, self._clients, self._order = set(), {}, deque()
        self._feed = self._cursor = self._proof = None
        self._certain_since = 0
        self._failure = "the service has not answered yet"
        self._closing = threading.Event()
        threading.Thread(target=self._run, name="latchkey-feed", daemon=True).start()

    def has_ended(self, claims):
        if "sid" in claims:
            return claims["sid"] in self._sids
        return claims["iat"] <= self._clients.get(claims["sub"], -1)

    def is_certain_of(self, claims):
        """Whether a revocation of this token would be in memory, if it is older than `max_staleness`."""
        proof = self._proof
        return self._is_fresh(proof) and claims["iat"] > max(proof.epoch + EPOCH_LEEWAY, self._certain_since)

    def wait_until_fresh(self, timeout):
        began = time.monotonic()
        while not self._is_fresh(self._proof):
            if time.monotonic() - began > timeout:
                raise Unavailable(f"the feed of revocations cannot be read: {self._failure}")
            time.sleep(0.01)

    def close(self):
        self._closing.set()
        self._proof = None

    def _is_fresh(self, proof):
        return proof is not None and proof.sent.age() <= proof.known_for + self._max_staleness

    def _run(self):
        pause = 0.05
        while not self._closing.is_set():
            try:
                self._closing.wait(self._read())
                pause = 0.05
            except Exception as error:  # Whatever it is, the thread must go on. Without proofs, memory soon accepts nothing.
                self._failure = str(error)
                self._service.close()
                self._closing.wait(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, 1)
        self._service.close()
        self._proof = None

    def _read(self):
        """Reads one answer. Returns the seconds until the next request."""
        # The nonce makes an address that no cache knows.
        query = {"wait": self._wait, "nonce": secrets.token_urlsafe(9)}
        if self._cursor is not None:
            query["after"] = self._cursor
        sent = Moment.now()
        answer = self._service.ask("GET", f"/revocations?{urlencode(query)}", self._wait / 1000 + 0.75)
        took = time.monotonic() - sent.monotonic
        feed, epoch, cursor, more, read_after, entries = fields_of(answer.body)
        # A revocation counts, even if the rest of the answer proves nothing.
        self._remember(entries)
        if answer.headers.get("Age", "0") != "0":
            raise Unavailable("a cache answered: let it pass /revocations through")
        if self._feed is not None and feed != self._feed:
            # The history is another one, and something may be missing. What we know stays true.
            self._proof = self._feed = self._cursor = None
            return 0
        if more and cursor == self._cursor:
            raise Unavailable("the cursor of the feed does not move")
        self._feed, self._cursor = feed, cursor
        if more:
            return 0
        check_date(answer.headers.get("Date"), sent)
        # The service read its store so long after the request arrived, and so after we sent it.
        self._proof = Proof(sent, min(read_after / 1000, took), epoch)
        self._forget()
        return 0.005 if entries or took > self._wait / 2000 else 0.05

    def _remember(self, entries):
        for entry in entries:
            sids, client, until = (entry.get(name) for name in ("sids", "client_id", "issued_until"))
            if isinstance(sids, list) and all(map(is_id, sids)):
                self._sids.update(sids)
                self._order.append((Moment.now(), sids, None))
            elif is_id(client) and type(until) is int:
                self._clients[client] = max(until, self._clients.get(client, 0))
                self._order.append((Moment.now(), [], client))
            else:
                # An entry of a later version may concern any token that exists now.
                self._certain_since = time.time() + CLOCK_LEEWAY

    def _forget(self):
        """Forgets what is older than the longest life of a token, by both clocks."""
        while self._order and self._order[0][0].least_age() > FORGET_AFTER:
            _, sids, client = self._order.popleft()
            self._sids.difference_update(sids)
            if client and self._clients.get(client, 0) + FORGET_AFTER < time.time():
                self._clients.pop(client, None)


def fields_of(body):
    names = ("feed", "epoch", "cursor", "more", "read_after_ms", "revocations")
    feed, epoch, cursor, more, read_after, entries = values = [body.get(name) for name in names]
    is_valid = all(isinstance(name, str) and name for name in (feed, cursor)) and type(epoch) is int
    is_valid = is_valid and type(more) is bool and type(read_after) in (int, float) and read_after >= 0
    if not is_valid or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Unavailable("the answer is not a feed of revocations")
    return values


def check_date(date, sent):
    """The times in tokens can be compared with our clock only if it goes as the clock of the service."""
    if date is None:
        return
    service = email.utils.parsedate_to_datetime(date).timestamp()
    if not sent.wall - CLOCK_LEEWAY - 1 <= service <= time.time() + CLOCK_LEEWAY:
        raise Unavailable("our clock and the clock of the service differ: set both clocks")


class PublishedKeys:
    """The public keys of the service. Callers share one fetch, and invented key ids cause one fetch in 10 seconds at most."""

    def __init__(self, service):
        self._service = service
        self._keys, self._fetched, self._tried = {}, None, None
        self._lock = threading.Lock()

    def find(self, kid):
        if not self._is_recent() or kid not in self._keys:
            with self._lock:
                # Another caller may have fetched the keys while this one waited.
                if (not self._is_recent() or kid not in self._keys) and self._may_try():
                    self._fetch()
        # While the service is away, its keys stay: as long as the longest-lived token that they signed.
        if self._fetched is None or self._fetched.age() > MAX_LIFETIME:
            raise Unavailable("the keys of the service cannot be fetched")
        return self._keys.get(kid)

    def _is_recent(self):
        return self._fetched is not None and self._fetched.age() <= REFRESH_KEYS

    def _may_try(self):
        return self._tried is None or self._tried.age() > (1 if self._fetched is None else COOL_DOWN)

    def _fetch(self):
        is_first, sent = self._fetched is None, Moment.now()
        try:
            answer = self._service.ask("GET", "/.well-known/jwks.json", TIMEOUT).body
            self._keys, self._fetched = usable_keys(answer.get("keys")), sent
            # A key may have been added just after the first fetch.
            self._tried = None if is_first else Moment.now()
        except Unavailable:
            self._tried = Moment.now()
        finally:
            self._service.close()


def usable_keys(jwks):
    if not isinstance(jwks, list):
        raise Unavailable("the answer is not a JWK Set")
    keys = {}
    for jwk in jwks[:100]:
        try:
            # A private key that is public can sign for anybody.
            if "d" not in jwk and jwk.get("alg", "ES256") == "ES256" and jwk.get("use", "sig") == "sig":
                key = PublicKey(jwk)
                # Two keys of one name: use neither.
                keys[key.kid] = None if key.kid in keys else key
        except (Refused, ValueError, KeyError, TypeError, AttributeError):
            continue
    return keys


class Answer(NamedTuple):
    headers: http.client.HTTPMessage
    body: dict


class Service:
    """One connection to the service. It follows no redirect and uses no proxy, because credentials are for this address only."""

    def __init__(self, url, authorization=None):
        address = urlsplit(url)
        kinds = {"https": http.client.HTTPSConnection, "http": http.client.HTTPConnection}
        if address.scheme not in kinds or not address.hostname:
            raise ValueError("the address of the service must begin with https:// or http://")
        self._connection = kinds[address.scheme](address.hostname, address.port, timeout=TIMEOUT)
        self._path = address.path.rstrip("/")
        self._headers = {"Accept": "application/json", "Cache-Control": "no-cache, no-store"}
        if authorization:
            self._headers["Authorization"] = authorization

    def ask(self, method, path, timeout, form=None):
        """Returns the answer, or raises Unavailable."""
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"} if form else self._headers
        deadline = time.monotonic() + timeout
        try:
            self._connection.timeout = timeout
            self._connection.request(method, self._path + path, form, headers)
            self._connection.sock.settimeout(timeout)
            response = self._connection.getresponse()
            body = b""
            while chunk := response.read1(65536):
                body += chunk
                if len(body) > MAX_ANSWER or time.monotonic() > deadline:
                    raise Unavailable("the answer is too long or too slow")
            if response.status != 200:
                raise Unavailable(f"the service answered {response.status}")
            value = json.loads(body)
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            self.close()
            raise Unavailable(f"the service cannot be asked: {error or type(error).__name__}") from error
        except Unavailable:
            self.close()
            raise
        if not isinstance(value, dict):
            raise Unavailable("the answer is not a JSON object")
        return Answer(response.headers, value)

    def close(self):
        self._connection.close()


def main():
    """Reads a token from each line, and writes `good` and the claims, `refused` or `unavailable` and the reason."""
    latchkey = Latchkey(
        os.environ["LATCHKEY_URL"],
        os.environ["AUDIENCE"],
        os.environ["CLIENT_ID"],
        os.environ["CLIENT_SECRET"],
        issuer=os.environ.get("ISSUER"),
        secret=os.environ.get("JWT_SECRET"),
    )
    latchkey.wait_until_ready()
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            print("good", json.dumps(latchkey.verify(line.strip())), flush=True)
        except Refused as reason:
            print("refused", reason, flush=True)
        except Unavailable as reason:
            print("unavailable", reason, flush=True)


if __name__ == "__main__":
    main()
