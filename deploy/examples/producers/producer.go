// Sends a push over Redis, with the standard library alone, and prints its report:
//
//	go build producer.go && ./producer REQUEST.json
//
// BROKER_URL         the workers' Redis, redis://USER:PASSWORD@HOST:PORT/0, or rediss://
// PRODUCER           the name by which the workers know this producer, if they ask for signatures
// PRODUCER_KEY_FILE  its key
//
// It ends with 0 if all tags moved, with 1 if some did not, with 2 if there is no report: the request was refused.
package main

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	task  = "imagepusher.push.v1"
	queue = "imagepusher.push"
)

// redis sends one command at a time; a client library does as well.
type redis struct {
	net.Conn
	answers *bufio.Reader
}

func (server *redis) ask(words ...string) (string, error) {
	var command strings.Builder
	fmt.Fprintf(&command, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&command, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := io.WriteString(server, command.String()); err != nil {
		return "", err
	}
	line, err := server.answers.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	switch line[0] {
	case '-':
		return "", fmt.Errorf("Redis refused: %s", line[1:])
	case '$':
		length, err := strconv.Atoi(line[1:])
		if err != nil || length < 0 {
			return "", err
		}
		text := make([]byte, length+2)
		_, err = io.ReadFull(server.answers, text)
		return string(text[:length]), err
	}
	return line[1:], nil
}

func connect(address string) (*redis, error) {
	place, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	host := place.Host
	if place.Port() == "" {
		host = net.JoinHostPort(place.Hostname(), "6379")
	}
	var connection net.Conn
	if place.Scheme == "rediss" {
		connection, err = tls.Dial("tcp", host, nil)
	} else {
		connection, err = net.Dial("tcp", host)
	}
	if err != nil {
		return nil, err
	}
	server := &redis{connection, bufio.NewReader(connection)}
	if password, given := place.User.Password(); given {
		user := place.User.Username()
		if user == "" {
			user = "default"
		}
		if _, err := server.ask("AUTH", user, password); err != nil {
			return nil, err
		}
	}
	database := strings.TrimPrefix(place.Path, "/")
	if database == "" {
		database = "0"
	}
	_, err = server.ask("SELECT", database)
	return server, err
}

// newID returns a UUID of version 4.
func newID() (string, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", err
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), nil
}

func message(request []byte, id string) ([]byte, error) {
	body := append(append([]byte("[["), request...), "], {}, {}]"...)
	headers := map[string]string{"task": task, "id": id}
	if producer := os.Getenv("PRODUCER"); producer != "" {
		key, err := os.ReadFile(os.Getenv("PRODUCER_KEY_FILE"))
		if err != nil {
			return nil, err
		}
		digest := hmac.New(sha256.New, bytes.TrimSpace(key))
		now := time.Now().Unix()
		fmt.Fprintf(digest, "%d\n%s\n%s\n%s", now, task, id, body)
		headers["imagepusher_signature"] = fmt.Sprintf("%s:%d:%x", producer, now, digest.Sum(nil))
	}
	return json.Marshal(map[string]any{
		"body":             body, // encoding/json writes bytes as base64
		"content-encoding": "utf-8",
		"content-type":     "application/json",
		"headers":          headers,
		"properties": map[string]any{
			"body_encoding": "base64",
			"delivery_tag":  id,
			"delivery_info": map[string]string{"exchange": "", "routing_key": queue},
		},
	})
}

// failure is the result of a task that failed.
type failure struct {
	Kind      string            `json:"exc_type"`
	Arguments []json.RawMessage `json:"exc_message"`
}

// push returns the report of a push; an error tells why there is none.
func push(request []byte) (json.RawMessage, error) {
	server, err := connect(os.Getenv("BROKER_URL"))
	if err != nil {
		return nil, err
	}
	defer server.Close()
	id, err := newID()
	if err != nil {
		return nil, err
	}
	sent, err := message(request, id)
	if err != nil {
		return nil, err
	}
	if _, err := server.ask("LPUSH", "imagepusher:"+queue, string(sent)); err != nil {
		return nil, err
	}
	for end := time.Now().Add(time.Hour); time.Now().Before(end); time.Sleep(time.Second / 2) {
		text, err := server.ask("GET", "imagepusher:celery-task-meta-"+id)
		if err != nil {
			return nil, err
		}
		var found struct {
			Status string
			Result json.RawMessage
		}
		if text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(text), &found); err != nil {
			return nil, err
		}
		switch found.Status {
		case "SUCCESS":
			return found.Result, nil
		case "FAILURE":
			var failed failure
			if err := json.Unmarshal(found.Result, &failed); err != nil {
				return nil, err
			}
			// The arguments of this error are a summary and the report.
			if failed.Kind == "PushFailed" && len(failed.Arguments) > 1 {
				return failed.Arguments[1], nil
			}
			return nil, fmt.Errorf("%s: %s", failed.Kind, failed.Arguments)
		}
	}
	return nil, fmt.Errorf("push %s has no result", id)
}

func main() {
	request, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	report, err := push(request)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Println(string(report))
	var said struct{ State string }
	if json.Unmarshal(report, &said) != nil || said.State != "succeeded" {
		os.Exit(1)
	}
}
