package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"
)

const (
	refreshKeys = 5 * time.Minute
	coolDown    = 10 * time.Second
)

// Key checks signatures of its one algorithm.
type Key interface {
	Algorithm() string
	Verifies(signed, signature []byte) bool
}

type sharedKey []byte

func (key sharedKey) Algorithm() string { return "HS256" }

func (key sharedKey) Verifies(signed, signature []byte) bool {
	mac := hmac.New(sha256.New, key)
	mac.Write(signed)
	return hmac.Equal(signature, mac.Sum(nil))
}

type publicKey ecdsa.PublicKey

func (key *publicKey) Algorithm() string { return "ES256" }

func (key *publicKey) Verifies(signed, signature []byte) bool {
	if len(signature) != 64 {
		return false
	}
	hash := sha256.Sum256(signed)
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	return ecdsa.Verify((*ecdsa.PublicKey)(key), hash[:], r, s)
}

// SharedKeys returns the keys of HS256 by their ids. During a rotation, list all secrets.
func SharedKeys(secrets ...string) (map[string]Key, error) {
	keys := map[string]Key{}
	add := func(key []byte) {
		// The thumbprint of RFC 7638.
		hash := sha256.Sum256([]byte(`{"k":"` + encoding.EncodeToString(key) + `","kty":"oct"}`))
		keys[encoding.EncodeToString(hash[:])] = sharedKey(key)
	}
	for _, secret := range secrets {
		if len(secret) < 32 {
			return nil, errors.New("a secret is shorter than 32 bytes")
		}
		add([]byte(secret))
		// What `latchkey keys secret` prints is the base64url text of a key. A shared secret may look the same, so both
		// readings are keys. A token names one of them by its kid.
		if key, err := encoding.DecodeString(secret); err == nil && len(key) == 32 {
			add(key)
		}
	}
	return keys, nil
}

// PublishedKeys are the public keys of the service. Callers share one fetch, and invented key ids cause one fetch in 10
// seconds at most.
type PublishedKeys struct {
	service *service
	mutex   sync.Mutex
	keys    map[string]Key
	fetched *Moment
	tried   *Moment
}

// Find returns the key, or nil if the service has no such key.
func (published *PublishedKeys) Find(keyID string) (Key, error) {
	published.mutex.Lock()
	defer published.mutex.Unlock()
	isRecent := published.fetched != nil && published.fetched.Age() <= refreshKeys
	if key, isKnown := published.keys[keyID]; isRecent && isKnown {
		return key, nil
	}
	// Others wait here, and then find the keys that this caller fetched.
	if published.mayTry() {
		published.fetch()
	}
	// While the service is away, its keys stay: as long as the longest-lived token that they signed.
	if published.fetched == nil || published.fetched.Age() > maxLifetime*time.Second {
		return nil, fmt.Errorf("%w: the keys of the service cannot be fetched", ErrUnavailable)
	}
	return published.keys[keyID], nil
}

func (published *PublishedKeys) mayTry() bool {
	pause := coolDown
	if published.fetched == nil {
		pause = time.Second
	}
	return published.tried == nil || published.tried.Age() > pause
}

func (published *PublishedKeys) fetch() {
	sent := Now()
	var set struct{ Keys []json.RawMessage }
	_, err := published.service.ask("GET", "/.well-known/jwks.json", nil, timeout, &set)
	if err == nil && set.Keys == nil {
		err = errors.New("the answer is not a JWK Set")
	}
	tried := Now()
	// A key may have been added just after the first fetch, so that one starts no pause.
	if err != nil || published.fetched != nil {
		published.tried = &tried
	}
	if err == nil {
		published.keys, published.fetched = usableKeys(set.Keys), &sent
	}
}

func usableKeys(listed []json.RawMessage) map[string]Key {
	keys := map[string]Key{}
	for index, text := range listed {
		var jwk struct{ Kty, Crv, X, Y, Kid, Alg, Use, D string }
		// A private key that is public can sign for anybody.
		if index >= 100 || json.Unmarshal(text, &jwk) != nil || jwk.D != "" || jwk.Kid == "" {
			continue
		}
		if jwk.Kty != "EC" || jwk.Crv != "P-256" || (jwk.Alg != "" && jwk.Alg != "ES256") || (jwk.Use != "" && jwk.Use != "sig") {
			continue
		}
		x, errX := encoding.DecodeString(jwk.X)
		y, errY := encoding.DecodeString(jwk.Y)
		if errX != nil || errY != nil || len(x) != 32 || len(y) != 32 {
			continue
		}
		key := &publicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)}
		if !key.Curve.IsOnCurve(key.X, key.Y) {
			continue
		}
		if _, isTwin := keys[jwk.Kid]; isTwin {
			// Two keys of one name: use neither.
			keys[jwk.Kid] = nil
			continue
		}
		keys[jwk.Kid] = key
	}
	return keys
}
