package deploy

import "embed"

// Shop is the default pipeline, shop.yaml: nudge run without -c takes it.
//
//go:embed shop.yaml
var Shop []byte

// Examples are pipelines to begin with, for shops of several kinds, and their tests.
//
//go:embed minimal.yaml fashion.yaml grocery.yaml marketplace.yaml shop_test.yaml fashion_test.yaml grocery_test.yaml marketplace_test.yaml minimal_test.yaml
var Examples embed.FS

// Bench are the pipelines of the four queries that stream processors are compared by, bench/a.yaml to bench/d.yaml.
//
//go:embed bench
var Bench embed.FS
