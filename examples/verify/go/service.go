package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	timeout   = 2 * time.Second
	maxAnswer = 4 << 20
)

// Moment is a moment on two clocks. Go's monotonic clock stands still in a suspended machine. The wall clock may be set.
type Moment struct{ monotonic, wall time.Time }

// Now returns the present moment. Round takes the monotonic reading away.
func Now() Moment {
	now := time.Now()
	return Moment{now, now.Round(0)}
}

func (moment Moment) ages() (monotonic, wall time.Duration) {
	now := time.Now()
	return now.Sub(moment.monotonic), now.Round(0).Sub(moment.wall)
}

// Age is the age by the clock that moved further: nothing looks fresher than it is.
func (moment Moment) Age() time.Duration {
	monotonic, wall := moment.ages()
	if wall > monotonic {
		return wall
	}
	return monotonic
}

// LeastAge is the age by the clock that moved less.
func (moment Moment) LeastAge() time.Duration {
	monotonic, wall := moment.ages()
	if wall < monotonic {
		return wall
	}
	return monotonic
}

// service asks the service. It follows no redirect and uses no proxy, because credentials are for this address only.
type service struct {
	url, clientID, clientSecret string
	client                      *http.Client
}

func newService(address, clientID, clientSecret string) (*service, error) {
	parsed, err := url.Parse(address)
	if err != nil || (parsed.Scheme != "https" && parsed.Scheme != "http") || parsed.Host == "" {
		return nil, errors.New("the address of the service must begin with https:// or http://")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client := &http.Client{Transport: transport, CheckRedirect: refuse}
	return &service{strings.TrimRight(address, "/"), clientID, clientSecret, client}, nil
}

// ask sends a request, and reads the JSON of the answer into answer.
func (service *service) ask(method, path string, form url.Values, limit time.Duration, answer any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, service.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	// All that we ask may be asked twice. The empty key is not sent. It lets Go ask again if the service has closed an idle
	// connection meanwhile.
	request.Header["Idempotency-Key"] = nil
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Cache-Control", "no-cache, no-store")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if service.clientID != "" {
		request.SetBasicAuth(url.QueryEscape(service.clientID), url.QueryEscape(service.clientSecret))
	}
	response, err := service.client.Do(request)
	if err != nil {
		return nil, errors.New("the service cannot be asked: " + errors.Unwrap(err).Error())
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxAnswer:
		return nil, errors.New("the answer of the service is too long")
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the service answered %d", response.StatusCode)
	case json.Unmarshal(body, answer) != nil:
		return nil, errors.New("the answer of the service cannot be read")
	}
	return response.Header, nil
}
