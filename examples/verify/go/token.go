// Verifies Latchkey access tokens with only Go's standard library (1.19 or later).
//
// token.go and keys.go check form, signature and claims, in the order of docs/verify-tokens.md. follow.go keeps the revocations
// in memory and reads them over HTTP. redis.go looks each token up in Redis. Copy the files that you need.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"time"
)

const (
	clockLeeway = 5
	maxLifetime = 24 * 60 * 60
)

// ErrUnavailable says that the state of the token is unknown now. Never accept the token.
var ErrUnavailable = errors.New("unavailable")

// ErrRevoked says that the session of the token has ended.
var ErrRevoked = errors.New("revoked")

// Claims of an access token. A token that a client got for itself has no SID. All has every claim of the token.
type Claims struct {
	Subject, ID, SID, ClientID, Scope string
	Issued, Expires                   int64
	All                               map[string]any
}

// Rules are what the claims of a token must satisfy.
type Rules struct{ Issuer, Audience string }

// Token is a token of the right form. Nothing else about it has been checked.
type Token struct {
	Algorithm, KeyID  string
	signed, signature []byte
	claims            map[string]any
}

var (
	compact = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)
	id      = regexp.MustCompile(`^[!-~]+$`)
	// Without padding and with zero trailing bits, a signature has one spelling.
	encoding     = base64.RawURLEncoding.Strict()
	errMalformed = errors.New("malformed")
	errHeader    = errors.New("unsupported header")
	errClaims    = errors.New("bad claims")
)

// Parse reads the parts of a token.
func Parse(text string) (*Token, error) {
	if len(text) > 8192 || !compact.MatchString(text) {
		return nil, errMalformed
	}
	parts := strings.Split(text, ".")
	header, err := decodeObject(parts[0])
	if err != nil {
		return nil, err
	}
	algorithm, hasAlgorithm := header["alg"].(string)
	keyID, hasKeyID := header["kid"].(string)
	// A header with a key or the address of a key (jwk, jku, x5u) is refused too.
	if len(header) != 3 || !hasAlgorithm || !hasKeyID || (header["typ"] != "at+jwt" && header["typ"] != "application/at+jwt") {
		return nil, errHeader
	}
	claims, err := decodeObject(parts[1])
	if err != nil {
		return nil, err
	}
	signature, err := encoding.DecodeString(parts[2])
	if err != nil {
		return nil, errMalformed
	}
	return &Token{algorithm, keyID, []byte(parts[0] + "." + parts[1]), signature, claims}, nil
}

// CheckSignature checks the signature. The key has one algorithm, and the token cannot choose another.
func (token *Token) CheckSignature(key Key) error {
	switch {
	case key == nil:
		return errors.New("unknown key")
	case key.Algorithm() != token.Algorithm:
		return errHeader
	case !key.Verifies(token.signed, token.signature):
		return errors.New("bad signature")
	}
	return nil
}

// CheckClaims returns the claims if they satisfy the rules now.
func (token *Token) CheckClaims(rules Rules) (*Claims, error) {
	all := token.claims
	claims := &Claims{All: all}
	isValid := true
	text := func(name string) string {
		value, isText := all[name].(string)
		isValid = isValid && isText
		return value
	}
	moment := func(name string) int64 {
		number, _ := all[name].(json.Number)
		value, err := number.Int64()
		isValid = isValid && err == nil
		return value
	}
	issuer, audience := text("iss"), text("aud")
	claims.Subject, claims.ID, claims.ClientID, claims.Scope = text("sub"), text("jti"), text("client_id"), text("scope")
	claims.Issued, claims.Expires = moment("iat"), moment("exp")
	begin := claims.Issued
	if _, given := all["nbf"]; given {
		begin = moment("nbf")
	}
	_, hasSession := all["sid"]
	if hasSession {
		claims.SID = text("sid")
	}
	now := time.Now().Unix()
	switch {
	case issuer != rules.Issuer:
		return nil, errors.New("wrong issuer")
	case audience != rules.Audience:
		return nil, errors.New("wrong audience")
	case !isValid || claims.Issued <= 0 || claims.Expires-claims.Issued > maxLifetime:
		return nil, errClaims
	case now >= claims.Expires:
		return nil, errors.New("expired")
	case claims.Issued > now+clockLeeway || begin > now+clockLeeway:
		return nil, errors.New("not valid yet")
	case !id.MatchString(claims.Subject) || !id.MatchString(claims.ID) || !id.MatchString(claims.ClientID):
		return nil, errClaims
	case hasSession && !id.MatchString(claims.SID), !hasSession && claims.Subject != claims.ClientID:
		return nil, errClaims
	}
	return claims, nil
}

func decodeObject(text string) (map[string]any, error) {
	data, err := encoding.DecodeString(text)
	if err != nil {
		return nil, errMalformed
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	value, err := decodeValue(decoder, 8)
	object, isObject := value.(map[string]any)
	if err != nil || !isObject {
		return nil, errMalformed
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errMalformed
	}
	return object, nil
}

// decodeValue reads a JSON value. Two parsers may read a repeated member in two ways, so it refuses one. Package json alone
// takes the last, and ignores the case of a name.
func decodeValue(decoder *json.Decoder, depth int) (any, error) {
	token, err := decoder.Token()
	if err != nil || depth == 0 {
		return nil, errMalformed
	}
	switch token {
	case json.Delim('{'):
		object := map[string]any{}
		for decoder.More() {
			name, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			if _, isTwin := object[name.(string)]; isTwin {
				return nil, errMalformed
			}
			if object[name.(string)], err = decodeValue(decoder, depth-1); err != nil {
				return nil, err
			}
		}
		_, err = decoder.Token()
		return object, err
	case json.Delim('['):
		list := []any{}
		for decoder.More() {
			value, err := decodeValue(decoder, depth-1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err = decoder.Token()
		return list, err
	}
	return token, nil
}
