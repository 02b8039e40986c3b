package deploy

import _ "embed"

// Shop is the default pipeline, shop.yaml: nudge run without -c takes it.
//
//go:embed shop.yaml
var Shop []byte
