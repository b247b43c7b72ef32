// SPDX-License-Identifier: Apache-2.0

package tracer

// WithoutShares returns the configuration of a Tracer in which owners and processes have no shares of the ring.
func WithoutShares(cfg Config) Config {
	cfg.noShares = true
	return cfg
}
