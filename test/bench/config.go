// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// config selects what to measure and for how long.
type config struct {
	root   string // path of the repository
	dir    string // folder for programs, removed at the end
	out    string // path of the JSON file for the results
	gnutls string // cache folder of examples/gnutls/build.sh
	agents []candidate
	parts  string
	strict bool
	quick  bool

	loads       string // names of the loads to measure, separated by commas
	soak        bool
	outage      time.Duration // duration of each outage of the receiver in a soak; 0: no outages
	sampleEvery time.Duration // time between two samples in a soak
	profiles    string        // folder for CPU profiles of the agent under load; "" for none

	hitRounds    int
	loadRounds   int
	loadTime     time.Duration
	rate         float64 // events per second of a load
	gnutlsRounds int
	handshakes   int // handshakes with GnuTLS per round
	wireRounds   int
	wireTime     time.Duration // duration of a load in a round of traffic

	wireLoads        string // substring of the names of the traffic loads to measure
	connectionRounds int    // number of rounds with a second of TLS connections each
	connections      int    // number of connections in a flood
	startRounds      int    // number of rounds of starting programs
}

func flags() (cfg config, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	flag.BoolVar(&cfg.quick, "quick", false, "a minute instead of some minutes; too few rounds to judge by")
	flag.StringVar(&cfg.root, "root", ".", "`folder` of the repository")
	flag.StringVar(&cfg.out, "out", "", "JSON `file` (test/bench/results/latest.json in the repository)")
	flag.StringVar(&cfg.gnutls, "gnutls", filepath.Join(cache, "crau-otel/gnutls"), "`folder` that examples/gnutls/build.sh made")
	flag.StringVar(&cfg.parts, "parts", strings.Join(partNames[:5], ","), "`what` to measure")
	flag.BoolVar(&cfg.strict, "strict", false, "exit with 1 if a limit is not kept")
	flag.IntVar(&cfg.hitRounds, "hit-rounds", 0, "rounds of bursts (15, quick 3)")
	flag.IntVar(&cfg.loadRounds, "load-rounds", 1, "rounds of sustained loads; the worst one counts")
	flag.DurationVar(&cfg.loadTime, "load-time", 0, "length of a sustained load (10s, quick 1s)")
	flag.Float64Var(&cfg.rate, "rate", 0, "events a second of a sustained load (500000, soak 50000)")
	flag.StringVar(&cfg.loads, "loads", "trees,trees-roots,trees-single,words", "`which` sustained loads to measure")
	flag.StringVar(&cfg.profiles, "profiles", "", "`folder` for CPU profiles of crau-otel under the sustained loads; they cost a few percent")
	flag.BoolVar(&cfg.soak, "soak", false, "only a long load: ten minutes (--load-time) at 50,000 events/s (--rate)")
	flag.DurationVar(&cfg.outage, "outage", 0, "for how long the receiver is away in a soak, at its start and once more")
	flag.DurationVar(&cfg.sampleEvery, "sample-every", 10*time.Second, "time between two samples of a soak")
	flag.IntVar(&cfg.gnutlsRounds, "gnutls-rounds", 0, "rounds of GnuTLS handshakes with each kind of key (7, quick 1)")
	flag.IntVar(&cfg.wireRounds, "wire-rounds", 0, "rounds of traffic over open sockets (300, quick 20)")
	flag.DurationVar(&cfg.wireTime, "wire-time", 20*time.Millisecond, "length of a load in such a round")
	flag.StringVar(&cfg.wireLoads, "wire-loads", "", "`part` of the names of the loads over sockets to measure")
	flag.IntVar(&cfg.connectionRounds, "connection-rounds", 0, "rounds of a second of TLS connections each (15, quick 1)")
	flag.IntVar(&cfg.startRounds, "exec-rounds", 0, "rounds of programs that start, without load and with it (50, quick 5)")
	flag.IntVar(&cfg.handshakes, "handshakes", 0, "GnuTLS handshakes in a round (2000, quick 300)")
	flag.Func("agent", "`[NAME=]PATH` of a crau-otel to measure; repeat to compare (built from the repository)", func(s string) error {
		name, path, ok := strings.Cut(s, "=")
		if !ok {
			name, path = filepath.Base(s), s
		}
		path, err := filepath.Abs(path)
		cfg.agents = append(cfg.agents, candidate{name, path})
		return err
	})
	flag.Parse()
	if err := known("parts", cfg.parts, partNames); err != nil {
		return cfg, err
	}
	if err := known("loads", cfg.loads, loadNames()); err != nil {
		return cfg, err
	}
	either := func(field *int, full, short int) {
		if *field == 0 {
			*field = full
			if cfg.quick {
				*field = short
			}
		}
	}
	either(&cfg.hitRounds, 15, 3)
	either(&cfg.gnutlsRounds, 7, 1)
	either(&cfg.handshakes, 2000, 300)
	either(&cfg.wireRounds, 300, 20)
	either(&cfg.connectionRounds, 15, 1)
	either(&cfg.connections, 20000, 5000)
	either(&cfg.startRounds, 50, 5)
	if cfg.soak {
		cfg.parts = "soak"
		if cfg.loadTime == 0 {
			cfg.loadTime = 10 * time.Minute
		}
		if cfg.rate == 0 {
			cfg.rate = 50000
		}
	}
	if cfg.rate == 0 {
		cfg.rate = 500000
	}
	if cfg.loadTime == 0 {
		cfg.loadTime = 10 * time.Second
		if cfg.quick {
			cfg.loadTime = time.Second
		}
	}
	if cfg.out == "" {
		cfg.out = filepath.Join(cfg.root, "test/bench/results/latest.json")
	}
	return cfg, nil
}

// missingError is the error of a part that cannot be measured on this machine. It says what is missing.
type missingError string

func (e missingError) Error() string { return string(e) }

// known returns an error if a flag's value, a list separated by commas, has an element that is not in names.
func known(flag, list string, names []string) error {
	for name := range strings.SplitSeq(list, ",") {
		if !slices.Contains(names, name) {
			return fmt.Errorf("--%s %q: there are %s", flag, name, strings.Join(names, ", "))
		}
	}
	return nil
}

// measures reports whether a part was selected by the flag --parts.
func (cfg *config) measures(part string) bool {
	return slices.Contains(strings.Split(cfg.parts, ","), part)
}

// progress prints what is being measured to standard error, or clears that line if what is empty.
func (cfg *config) progress(what string, round, rounds int) {
	if what == "" {
		fmt.Fprint(os.Stderr, "\r\033[K")
		return
	}
	fmt.Fprintf(os.Stderr, "\r\033[K%s: round %d of %d", what, max(round+1, 1), rounds)
}
