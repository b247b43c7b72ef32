// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

const (
	// maxReconnect is the longest wait between two tries to connect. It is short, so that spans are delivered soon after a
	// receiver is back; gRPC's default is two minutes.
	maxReconnect = 5 * time.Second
	// silence and patience are gRPC's keepalive settings. They detect a receiver whose host is gone, and so does not close
	// its connections. If nothing is received for the time silence, a ping is sent; if the ping is not answered within
	// patience, the connection is closed. gRPC also sets TCP_USER_TIMEOUT to patience, which detects unacknowledged data
	// sooner. Pings are only sent during calls, which are shorter than silence by default, because servers disconnect
	// clients that send many pings.
	silence  = 20 * time.Second
	patience = 10 * time.Second
	// writeBuffer is how many bytes gRPC passes to one system call. gRPC's default is 32 KiB, a tenth of the size of many
	// calls.
	writeBuffer = 256 << 10
)

// Open returns an exporter that is configured by the OTEL_EXPORTER_OTLP_* variables. The exporter connects when it is
// first used.
func Open(userAgent string) (*Exporter, error) {
	s, err := readSettings(signalTraces)
	if err != nil {
		return nil, err
	}
	current, err := newRenewable(func() (*grpc.ClientConn, error) { return s.connect(userAgent) },
		func(old *grpc.ClientConn) { _ = old.Close() })
	if err != nil {
		return nil, err
	}
	return New(Config{Connection: &connection{current, s.files.names()}, Headers: s.headers, Timeout: s.timeout})
}

// connection is a [Connection] whose gRPC connection can be replaced.
type connection struct {
	*renewable[*grpc.ClientConn]

	files []string // names of the certificate files; empty if there are none
}

// Invoke implements [Connection].
func (c *connection) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	current, done := c.use()
	defer done()
	return current.Invoke(ctx, method, args, reply, opts...)
}

// Close implements [Connection].
func (c *connection) Close() error {
	current, done := c.use()
	defer done()
	return current.Close()
}

// connect returns a connection. The connection is established when it is first used.
func (s settings) connect(userAgent string, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	opts = append(opts,
		grpc.WithUserAgent(userAgent),
		grpc.WithWriteBufferSize(writeBuffer),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: silence, Timeout: patience}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 500 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: maxReconnect},
			MinConnectTimeout: maxReconnect,
		}))
	if s.compress {
		opts = append(opts, grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
	}
	transport := insecure.NewCredentials()
	if s.tls {
		var err error
		if transport, err = newFileCredentials(s.files); err != nil {
			return nil, err
		}
	}
	// Without the scheme dns, gRPC would take some hosts for a scheme: for http://unix:4317 it would open a socket file.
	target := &url.URL{Scheme: "dns", Path: "/" + s.target}
	connection, err := grpc.NewClient(target.String(), append(opts, grpc.WithTransportCredentials(transport))...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.target, err)
	}
	return connection, nil
}

// TakesNoMetrics reports whether err, from an export of metrics, means that the receiver has no service for metrics.
// Jaeger, for example, has none. A receiver that cannot decompress calls returns the same code, but another text.
func TakesNoMetrics(err error) bool {
	return status.Code(err) == codes.Unimplemented && !strings.Contains(strings.ToLower(err.Error()), "decompressor")
}
