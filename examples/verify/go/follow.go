package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	forgetAfter = (maxLifetime + 60) * time.Second
	epochLeeway = 10
)

// Options of a follower. Secret is empty if the service signs with ES256. Without it, a token of HS256 is introspected each
// time. Issuer is the service's ISSUER, if that is not Service.
type Options struct {
	Service, Issuer, Audience, ClientID, ClientSecret, Secret string
	MaxStaleness                                              time.Duration
}

// Follower verifies tokens from memory, and learns of each sign-out over HTTP. The client needs the scope introspect.
type Follower struct {
	rules   Rules
	shared  map[string]Key
	public  *PublishedKeys
	service *service
	feed    *feed
}

// Follow starts to read the feed of revocations.
func Follow(options Options) (*Follower, error) {
	if options.Issuer == "" {
		options.Issuer = options.Service
	}
	if options.MaxStaleness == 0 {
		options.MaxStaleness = time.Second
	}
	service, err := newService(options.Service, options.ClientID, options.ClientSecret)
	if err != nil {
		return nil, err
	}
	anonymous, _ := newService(options.Service, "", "")
	follower := &Follower{
		rules:   Rules{options.Issuer, options.Audience},
		public:  &PublishedKeys{service: anonymous},
		service: service,
		feed:    newFeed(service, options.MaxStaleness),
	}
	if options.Secret != "" {
		if follower.shared, err = SharedKeys(options.Secret); err != nil {
			return nil, err
		}
	}
	go follower.feed.run()
	return follower, nil
}

// WaitUntilReady returns when the feed has been read, or the reason why it cannot be.
func (follower *Follower) WaitUntilReady(limit time.Duration) error {
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		isFresh, failure := follower.feed.state()
		if isFresh {
			return nil
		}
		if time.Since(began) > limit {
			return fmt.Errorf("%w: the feed of revocations cannot be read: %v", ErrUnavailable, failure)
		}
	}
}

// Close stops reading. After that, each token is introspected.
func (follower *Follower) Close() { close(follower.feed.closing) }

// Verify returns the claims of a live token. Never tell the caller why a token is refused.
func (follower *Follower) Verify(text string) (*Claims, error) {
	token, err := Parse(text)
	if err != nil {
		return nil, err
	}
	isSigned := token.Algorithm != "HS256" || follower.shared != nil
	if isSigned {
		key := follower.shared[token.KeyID]
		if token.Algorithm != "HS256" {
			if key, err = follower.public.Find(token.KeyID); err != nil {
				return nil, err
			}
		}
		if err := token.CheckSignature(key); err != nil {
			return nil, err
		}
	}
	claims, err := token.CheckClaims(follower.rules)
	if err != nil {
		return nil, err
	}
	hasEnded, isCertain := follower.feed.look(claims)
	if hasEnded {
		return nil, ErrRevoked
	}
	if isSigned && isCertain {
		return claims, nil
	}
	if err := follower.introspect(text, claims); err != nil {
		return nil, err
	}
	// An answer may be older than a revocation that came meanwhile.
	if hasEnded, _ := follower.feed.look(claims); hasEnded {
		return nil, ErrRevoked
	}
	return claims, nil
}

func (follower *Follower) introspect(text string, claims *Claims) error {
	// An answer that a stopped process reads late says nothing about now. Then we ask once more.
	for attempt := 0; attempt < 2; attempt++ {
		var answer struct {
			Active *bool
			JTI    string
		}
		sent := Now()
		_, err := follower.service.ask("POST", "/introspect", url.Values{"token": {text}}, timeout, &answer)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %v", ErrUnavailable, err)
		case sent.Age() > timeout:
			continue
		case answer.Active == nil || (*answer.Active && answer.JTI != claims.ID):
			return fmt.Errorf("%w: the introspection answer is not about this token", ErrUnavailable)
		case !*answer.Active:
			return ErrRevoked
		}
		return nil
	}
	return fmt.Errorf("%w: introspection is too slow", ErrUnavailable)
}

// feed is the revocations in memory. One goroutine reads them, and any goroutine may look.
type feed struct {
	service      *service
	maxStaleness time.Duration
	wait         time.Duration
	closing      chan struct{}
	name, cursor string

	mutex        sync.RWMutex
	sids         map[string]struct{}
	clients      map[string]int64
	order        []remembered
	proof        *proof
	certainSince int64
	failure      error
}

// remembered is an entry of the feed, and when it came.
type remembered struct {
	at     Moment
	sids   []string
	client string
}

// proof says that every revocation until knownFor after sent is in memory. Nothing is known of tokens before the epoch.
type proof struct {
	sent     Moment
	knownFor time.Duration
	epoch    int64
}

type feedAnswer struct {
	Feed, Cursor string
	Epoch        *int64
	More         *bool
	ReadAfter    *float64 `json:"read_after_ms"`
	Revocations  []json.RawMessage
}

type revocation struct {
	SIDs        []string `json:"sids"`
	ClientID    string   `json:"client_id"`
	IssuedUntil *int64   `json:"issued_until"`
}

func newFeed(service *service, maxStaleness time.Duration) *feed {
	wait := maxStaleness / 4
	if wait > 250*time.Millisecond {
		wait = 250 * time.Millisecond
	}
	return &feed{
		service:      service,
		maxStaleness: maxStaleness,
		wait:         wait,
		closing:      make(chan struct{}),
		sids:         map[string]struct{}{},
		clients:      map[string]int64{},
		failure:      errors.New("the service has not answered yet"),
	}
}

// look says whether the token has ended, and whether memory can be certain that it has not.
func (feed *feed) look(claims *Claims) (hasEnded, isCertain bool) {
	feed.mutex.RLock()
	defer feed.mutex.RUnlock()
	if claims.SID != "" {
		_, hasEnded = feed.sids[claims.SID]
	} else if until, isKnown := feed.clients[claims.Subject]; isKnown {
		hasEnded = claims.Issued <= until
	}
	isCertain = feed.isFresh() && claims.Issued > feed.proof.epoch+epochLeeway && claims.Issued > feed.certainSince
	return hasEnded, isCertain
}

func (feed *feed) isFresh() bool {
	return feed.proof != nil && feed.proof.sent.Age() <= feed.proof.knownFor+feed.maxStaleness
}

func (feed *feed) state() (isFresh bool, failure error) {
	feed.mutex.RLock()
	defer feed.mutex.RUnlock()
	return feed.isFresh(), feed.failure
}

func (feed *feed) prove(proof *proof) {
	feed.mutex.Lock()
	defer feed.mutex.Unlock()
	feed.proof = proof
}

func (feed *feed) run() {
	defer feed.prove(nil)
	backoff := 50 * time.Millisecond
	for {
		pause, err := feed.read()
		if err == nil {
			backoff = 50 * time.Millisecond
		} else {
			feed.mutex.Lock()
			feed.failure = err
			feed.mutex.Unlock()
			pause = backoff
			if backoff *= 2; backoff > time.Second {
				backoff = time.Second
			}
		}
		select {
		case <-feed.closing:
			return
		case <-time.After(pause):
		}
	}
}

// read reads one answer. It returns the pause until the next request.
func (feed *feed) read() (time.Duration, error) {
	nonce := make([]byte, 9)
	if _, err := rand.Read(nonce); err != nil {
		return 0, err
	}
	// The nonce makes an address that no cache knows.
	query := url.Values{
		"wait":  {strconv.FormatInt(feed.wait.Milliseconds(), 10)},
		"nonce": {encoding.EncodeToString(nonce)},
	}
	if feed.cursor != "" {
		query.Set("after", feed.cursor)
	}
	sent := Now()
	var answer feedAnswer
	header, err := feed.service.ask("GET", "/revocations?"+query.Encode(), nil, feed.wait+750*time.Millisecond, &answer)
	if err != nil {
		return 0, err
	}
	took, _ := sent.ages()
	isValid := answer.Feed != "" && answer.Cursor != "" && answer.Epoch != nil && answer.More != nil
	if !isValid || answer.ReadAfter == nil || *answer.ReadAfter < 0 || answer.Revocations == nil {
		return 0, errors.New("the answer is not a feed of revocations")
	}
	// A revocation counts, even if the rest of the answer proves nothing.
	feed.remember(answer.Revocations)
	if age := header.Get("Age"); age != "" && age != "0" {
		return 0, errors.New("a cache answered: let it pass /revocations through")
	}
	if feed.name != "" && answer.Feed != feed.name {
		// The history is another one, and something may be missing. What we know stays true.
		feed.prove(nil)
		feed.name, feed.cursor = "", ""
		return 0, nil
	}
	if *answer.More && answer.Cursor == feed.cursor {
		return 0, errors.New("the cursor of the feed does not move")
	}
	feed.name, feed.cursor = answer.Feed, answer.Cursor
	if *answer.More {
		return 0, nil
	}
	if err := checkDate(header.Get("Date"), sent); err != nil {
		return 0, err
	}
	// The service read its store so long after the request arrived, and so after we sent it.
	knownFor := time.Duration(*answer.ReadAfter * float64(time.Millisecond))
	if *answer.ReadAfter > float64(took.Milliseconds()) {
		knownFor = took
	}
	feed.prove(&proof{sent, knownFor, *answer.Epoch})
	feed.forget()
	if len(answer.Revocations) > 0 || took > feed.wait/2 {
		return 5 * time.Millisecond, nil
	}
	return 50 * time.Millisecond, nil
}

func (feed *feed) remember(entries []json.RawMessage) {
	feed.mutex.Lock()
	defer feed.mutex.Unlock()
	for _, text := range entries {
		var entry revocation
		err := json.Unmarshal(text, &entry)
		switch {
		case err == nil && entry.SIDs != nil:
			for _, sid := range entry.SIDs {
				feed.sids[sid] = struct{}{}
			}
			feed.order = append(feed.order, remembered{at: Now(), sids: entry.SIDs})
		case err == nil && entry.ClientID != "" && entry.IssuedUntil != nil:
			if *entry.IssuedUntil > feed.clients[entry.ClientID] {
				feed.clients[entry.ClientID] = *entry.IssuedUntil
			}
			feed.order = append(feed.order, remembered{at: Now(), client: entry.ClientID})
		default:
			// An entry of a later version may concern any token that exists now.
			feed.certainSince = time.Now().Unix() + clockLeeway
		}
	}
}

// forget forgets what is older than the longest life of a token, by both clocks.
func (feed *feed) forget() {
	feed.mutex.Lock()
	defer feed.mutex.Unlock()
	for len(feed.order) > 0 && feed.order[0].at.LeastAge() > forgetAfter {
		for _, sid := range feed.order[0].sids {
			delete(feed.sids, sid)
		}
		client := feed.order[0].client
		if feed.clients[client]+int64(forgetAfter/time.Second) < time.Now().Unix() {
			delete(feed.clients, client)
		}
		feed.order = feed.order[1:]
	}
}

// checkDate sees to it that the times in tokens can be compared with our clock: it must go as the clock of the service.
func checkDate(text string, sent Moment) error {
	if text == "" {
		return nil
	}
	date, err := http.ParseTime(text)
	leeway := clockLeeway * time.Second
	if err != nil || date.Before(sent.wall.Add(-leeway-time.Second)) || date.After(time.Now().Round(0).Add(leeway)) {
		return errors.New("our clock and the clock of the service differ: set both clocks")
	}
	return nil
}
