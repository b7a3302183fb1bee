package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"
)

// With REDIS_URL the program checks the token on its standard input. With LATCHKEY_URL it follows the service, and answers each
// line.
func main() {
	var err error
	if os.Getenv("LATCHKEY_URL") != "" {
		err = answerLines()
	} else {
		err = checkOne()
	}
	switch {
	case errors.Is(err, ErrUnavailable):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
}

func checkOne() error {
	address, err := url.Parse(os.Getenv("REDIS_URL"))
	if err != nil {
		return fmt.Errorf("%w: REDIS_URL cannot be read", ErrUnavailable)
	}
	keys, err := SharedKeys(os.Getenv("JWT_SECRET"))
	if err != nil {
		return fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	text, _ := io.ReadAll(os.Stdin)
	token, err := Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	if err := token.CheckSignature(keys[token.KeyID]); err != nil {
		return err
	}
	claims, err := token.CheckClaims(Rules{os.Getenv("ISSUER"), os.Getenv("AUDIENCE")})
	if err != nil {
		return err
	}
	isLive, err := Redis{address}.IsLive(claims)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	if !isLive {
		return ErrRevoked
	}
	return json.NewEncoder(os.Stdout).Encode(claims.All)
}

// answerLines writes "good" and the claims, "refused" or "unavailable" and the reason.
func answerLines() error {
	follower, err := Follow(Options{
		Service:      os.Getenv("LATCHKEY_URL"),
		Issuer:       os.Getenv("ISSUER"),
		Audience:     os.Getenv("AUDIENCE"),
		ClientID:     os.Getenv("CLIENT_ID"),
		ClientSecret: os.Getenv("CLIENT_SECRET"),
		Secret:       os.Getenv("JWT_SECRET"),
	})
	if err != nil {
		return fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	defer follower.Close()
	if err := follower.WaitUntilReady(5 * time.Second); err != nil {
		return err
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		claims, err := follower.Verify(lines.Text())
		switch {
		case errors.Is(err, ErrUnavailable):
			fmt.Println(err)
		case err != nil:
			fmt.Println("refused", err)
		default:
			text, _ := json.Marshal(claims.All)
			fmt.Printf("good %s\n", text)
		}
	}
	return lines.Err()
}
