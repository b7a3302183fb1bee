// Verifies Latchkey access tokens with only Go's standard library (1.19 or later).
//
// It follows docs/verify-tokens.md in this order: form, signature, claims, and then one look-up in Redis.
package main

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	clockLeeway  = 5
	maxLifetime  = 24 * 60 * 60
	redisTimeout = 200 * time.Millisecond
)

// ErrUnavailable says that the state of the token is unknown now. Never accept the token.
var ErrUnavailable = errors.New("unavailable")

// Claims of an access token. A token that a client got for itself has no SID.
type Claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Expires  int64    `json:"exp"`
	Issued   int64    `json:"iat"`
	ID       string   `json:"jti"`
	SID      *string  `json:"sid,omitempty"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope"`
	Roles    []string `json:"roles,omitempty"`
}

// Rules are what a token must satisfy.
type Rules struct {
	Issuer, Audience string
	Secret           []byte
	RedisURL         *url.URL
}

// Verify returns the claims of a live token. Never tell the caller why a token is refused.
func (rules Rules) Verify(token string) (*Claims, error) {
	claims, err := rules.check(token)
	if err != nil {
		return nil, err
	}
	live, err := rules.isLive(claims)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	if !live {
		return nil, errors.New("revoked")
	}
	return claims, nil
}

var (
	compact = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)
	// Without padding and with zero trailing bits, a signature has one spelling.
	encoding = base64.RawURLEncoding.Strict()
)

// check checks form, signature and claims, without I/O.
func (rules Rules) check(token string) (*Claims, error) {
	if len(token) > 8192 || !compact.MatchString(token) {
		return nil, errors.New("malformed")
	}
	parts := strings.Split(token, ".")

	// We choose the algorithm, never the token. A header with a key or its address (jwk, jku, x5u) is refused.
	var header map[string]string
	if err := decodeObject(parts[0], &header); err != nil {
		return nil, err
	}
	if header["alg"] != "HS256" || (header["typ"] != "at+jwt" && header["typ"] != "application/at+jwt") {
		return nil, errors.New("unsupported header")
	}
	for member := range header {
		if member != "alg" && member != "typ" && member != "kid" {
			return nil, errors.New("unsupported header")
		}
	}
	// With several secrets, kid names the secret: the RFC 7638 thumbprint of {"k": base64url(secret), "kty": "oct"}.
	signature, err := encoding.DecodeString(parts[2])
	if err != nil {
		return nil, errors.New("malformed")
	}
	mac := hmac.New(sha256.New, rules.Secret)
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if !hmac.Equal(signature, mac.Sum(nil)) {
		return nil, errors.New("bad signature")
	}

	var claims Claims
	if err := decodeObject(parts[1], &claims); err != nil {
		return nil, err
	}
	now := time.Now().Unix()
	switch {
	case claims.Issuer != rules.Issuer:
		return nil, errors.New("wrong issuer")
	case claims.Audience != rules.Audience:
		return nil, errors.New("wrong audience")
	case claims.Expires <= 0 || claims.Issued <= 0 || claims.Expires-claims.Issued > maxLifetime:
		return nil, errors.New("bad claims")
	case now >= claims.Expires:
		return nil, errors.New("expired")
	case claims.Issued > now+clockLeeway:
		return nil, errors.New("not valid yet")
	case claims.Subject == "" || claims.ID == "" || claims.ClientID == "":
		return nil, errors.New("bad claims")
	case claims.SID == nil && claims.Subject != claims.ClientID, claims.SID != nil && *claims.SID == "":
		return nil, errors.New("bad claims")
	}
	return &claims, nil
}

// isLive looks up whether the session still lives.
func (rules Rules) isLive(claims *Claims) (bool, error) {
	if claims.SID != nil {
		found, err := redis(rules.RedisURL, "EXISTS", "lk1:{"+claims.Subject+"}:s:"+*claims.SID)
		return found == "1", err
	}
	// A client's own token has no session. Redis has a time up to which the client's tokens have ended. An emptied Redis
	// has lost that time, so a token from before its epoch is refused.
	epoch, err := redis(rules.RedisURL, "GET", "lk1:epoch")
	if err != nil {
		return false, err
	}
	begin, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return false, errors.New("no service writes to this Redis")
	}
	notBefore, err := redis(rules.RedisURL, "GET", "lk1:{"+claims.Subject+"}:n")
	if err != nil {
		return false, err
	}
	ended, _ := strconv.ParseInt("0"+notBefore, 10, 64)
	return claims.Issued >= begin && claims.Issued > ended, nil
}

// redis sends one command. A real service keeps a connection, or uses the pool of a client library.
func redis(address *url.URL, command ...string) (string, error) {
	host := address.Host
	if address.Port() == "" {
		host = net.JoinHostPort(address.Hostname(), "6379")
	}
	connection, err := net.DialTimeout("tcp", host, redisTimeout)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(redisTimeout))

	commands := [][]string{command}
	if password, given := address.User.Password(); given {
		credentials := []string{"AUTH"}
		if user := address.User.Username(); user != "" {
			credentials = append(credentials, user)
		}
		commands = [][]string{append(credentials, password), command}
	}
	var request strings.Builder
	for _, words := range commands {
		fmt.Fprintf(&request, "*%d\r\n", len(words))
		for _, word := range words {
			fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(word), word)
		}
	}
	if _, err := io.WriteString(connection, request.String()); err != nil {
		return "", err
	}
	answers := bufio.NewReader(connection)
	answer := ""
	for range commands {
		if answer, err = readAnswer(answers); err != nil {
			return "", err
		}
	}
	return answer, nil
}

func readAnswer(answers *bufio.Reader) (string, error) {
	line, err := answers.ReadString('\n')
	if err != nil || len(line) < 3 {
		return "", errors.New("the answer was cut off")
	}
	kind, text := line[0], strings.TrimSuffix(line[1:], "\r\n")
	switch kind {
	case ':', '+':
		return text, nil
	case '$':
		length, err := strconv.Atoi(text)
		if err != nil || length < 0 {
			return "", err
		}
		data := make([]byte, length+2)
		if _, err := io.ReadFull(answers, data); err != nil {
			return "", err
		}
		return string(data[:length]), nil
	}
	return "", errors.New(text)
}

func decodeObject(text string, into any) error {
	data, err := encoding.DecodeString(text)
	if err != nil || len(data) == 0 || data[0] != '{' || json.Unmarshal(data, into) != nil {
		return errors.New("malformed")
	}
	return nil
}

func main() {
	redisURL, err := url.Parse(os.Getenv("REDIS_URL"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "REDIS_URL cannot be read")
		os.Exit(2)
	}
	rules := Rules{os.Getenv("ISSUER"), os.Getenv("AUDIENCE"), []byte(os.Getenv("JWT_SECRET")), redisURL}
	token, _ := io.ReadAll(os.Stdin)
	claims, err := rules.Verify(strings.TrimSpace(string(token)))
	switch {
	case errors.Is(err, ErrUnavailable):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(claims)
}
