package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const redisTimeout = 200 * time.Millisecond

// Redis looks up each token. A real service keeps a connection, or uses the pool of a client library.
type Redis struct{ URL *url.URL }

// IsLive says whether the session of the token still lives.
func (redis Redis) IsLive(claims *Claims) (bool, error) {
	if claims.SID != "" {
		found, err := redis.ask("EXISTS", "lk1:{"+claims.Subject+"}:s:"+claims.SID)
		return err == nil && found != nil && *found == "1", err
	}
	// A client's own token has no session. Redis has a time up to which the client's tokens have ended. An emptied Redis
	// has lost that time, so a token from before its epoch is refused.
	epoch, err := redis.askTime("lk1:epoch")
	if err != nil {
		return false, err
	}
	if epoch == nil {
		return false, errors.New("no service writes to this Redis")
	}
	notBefore, err := redis.askTime("lk1:{" + claims.Subject + "}:n")
	if err != nil {
		return false, err
	}
	return claims.Issued >= *epoch && (notBefore == nil || claims.Issued > *notBefore), nil
}

var digits = regexp.MustCompile(`^[0-9]{1,15}$`)

// askTime returns a Unix time, or nil if Redis has none.
func (redis Redis) askTime(key string) (*int64, error) {
	text, err := redis.ask("GET", key)
	if err != nil || text == nil {
		return nil, err
	}
	if !digits.MatchString(*text) {
		return nil, errors.New("Redis has a time that is not a number")
	}
	seconds, err := strconv.ParseInt(*text, 10, 64)
	return &seconds, err
}

// ask sends one command. Nil: there is no value.
func (redis Redis) ask(command ...string) (*string, error) {
	connection, err := redis.connect()
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(redisTimeout))

	commands := [][]string{command}
	if password, given := redis.URL.User.Password(); given {
		credentials := []string{"AUTH"}
		if user := redis.URL.User.Username(); user != "" {
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
		return nil, err
	}
	answers := bufio.NewReader(connection)
	var answer *string
	for range commands {
		if answer, err = readAnswer(answers); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// connect opens a connection. For rediss:// the certificate is checked before the password goes out.
func (redis Redis) connect() (net.Conn, error) {
	host := redis.URL.Host
	if redis.URL.Port() == "" {
		host = net.JoinHostPort(redis.URL.Hostname(), "6379")
	}
	dialer := &net.Dialer{Timeout: redisTimeout}
	switch redis.URL.Scheme {
	case "redis":
		return dialer.Dial("tcp", host)
	case "rediss":
		return tls.DialWithDialer(dialer, "tcp", host, nil)
	}
	return nil, errors.New("the address of Redis must begin with redis:// or rediss://")
}

func readAnswer(answers *bufio.Reader) (*string, error) {
	line, err := answers.ReadString('\n')
	if err != nil || len(line) < 3 {
		return nil, errors.New("the answer was cut off")
	}
	kind, text := line[0], strings.TrimSuffix(line[1:], "\r\n")
	switch {
	case kind == ':', kind == '+':
		return &text, nil
	case kind == '$' && text == "-1":
		return nil, nil
	case kind == '$':
		length, err := strconv.Atoi(text)
		if err != nil || length < 0 || length > 1024 {
			return nil, errors.New("the answer cannot be read")
		}
		data := make([]byte, length+2)
		if _, err := io.ReadFull(answers, data); err != nil {
			return nil, err
		}
		value := string(data[:length])
		return &value, nil
	}
	return nil, errors.New(text)
}
