package deploy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/goccy/go-yaml"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"nudge/deploy"
	"nudge/operators/pipeline"
	"nudge/streams"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestShop(t *testing.T) {
	config, faults := pipeline.Parse("shop.yaml", deploy.Shop)
	if len(faults) > 0 {
		t.Fatalf("the default pipeline is wrong:\n%v", faults)
	}
	d := &config.Deciders
	if len(d.Recommenders) == 0 || len(d.Offers) == 0 || len(d.Churn) == 0 || len(d.Budgets) == 0 {
		t.Error("the default pipeline leaves out a decider")
	}
}

var pinned = regexp.MustCompile(`^[a-z0-9./-]+:v?[0-9]+\.[0-9]+\.[0-9]+[a-z0-9.-]*$`)

func compose(t *testing.T) *types.Project {
	t.Helper()
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  "..",
		ConfigFiles: []types.ConfigFile{{Filename: "../docker-compose.yml"}},
	})
	if err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	return project
}

func TestCompose(t *testing.T) {
	project := compose(t)
	for _, name := range []string{"kafka", "topics", "nats", "nudge", "prometheus", "grafana"} {
		if _, ok := project.Services[name]; !ok {
			t.Fatalf("no service %s", name)
		}
	}
	for name, s := range project.Services {
		if !pinned.MatchString(s.Image) {
			t.Errorf("%s: the image %q is not pinned to a version", name, s.Image)
		}
		if s.Restart != "no" && (s.HealthCheck == nil || len(s.HealthCheck.Test) == 0) {
			t.Errorf("%s: no health check", name)
		}
		if s.Privileged {
			t.Errorf("%s: privileged", name)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is published on %q, want 127.0.0.1: nothing here asks for a password", name, p.Published, p.HostIP)
			}
		}
		for _, v := range s.Volumes {
			switch v.Type {
			case types.VolumeTypeBind:
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s: mounts what is not there: %v", name, err)
				}
			case types.VolumeTypeVolume:
				if _, ok := project.Volumes[v.Source]; !ok {
					t.Errorf("%s: volume %s is not declared", name, v.Source)
				}
			}
		}
		for other, dependency := range s.DependsOn {
			if dependency.Condition == types.ServiceConditionStarted {
				t.Errorf("%s: waits for %s to be started, not to be healthy or completed", name, other)
			}
		}
	}
	for _, want := range []struct {
		service string
		port    string
	}{{"kafka", "29092"}, {"nats", "4222"}, {"nudge", "9464"}, {"prometheus", "9090"}, {"grafana", "3000"}} {
		if !slices.ContainsFunc(project.Services[want.service].Ports, func(p types.ServicePortConfig) bool { return p.Published == want.port }) {
			t.Errorf("%s: port %s is not published", want.service, want.port)
		}
	}
	build := project.Services["nudge"].Build
	if build == nil || filepath.Base(build.Dockerfile) != "Dockerfile" {
		t.Fatalf("nudge: build %+v", build)
	}
	if _, err := os.Stat("../" + build.Dockerfile); err != nil {
		t.Error(err)
	}
	if v := strings.Split(strings.SplitN(project.Services["nats"].Image, ":", 2)[1], "."); v[0] == "2" && atoi(t, v[1]) < 11 {
		t.Errorf("nats %s: want 2.11 or newer, for Nats-TTL", project.Services["nats"].Image)
	}
	if v := strings.SplitN(project.Services["kafka"].Image, ":", 2)[1]; !strings.HasPrefix(v, "4.") {
		t.Errorf("kafka %s: want 4.x", v)
	}
	checkFlags(t, project.Services["nudge"].Command)
}

// Every topic that the default pipeline must have is made, and those of customers with equally many partitions.
func TestComposeTopics(t *testing.T) {
	config, _ := pipeline.Parse("shop.yaml", deploy.Shop)
	script := strings.Join(compose(t).Services["topics"].Command, "\n")
	made := map[string]string{}
	for _, m := range regexp.MustCompile(`--topic (\S+) --partitions (\d+)`).FindAllStringSubmatch(script, -1) {
		made[m[1]] = m[2]
	}
	for _, in := range []pipeline.Input{config.Inputs.Clickstream, config.Inputs.Reviews, config.Inputs.Catalog} {
		if made[in.Topic] == "" {
			t.Errorf("topic %s is not made by\n%s", in.Topic, script)
		}
	}
	if made[config.Inputs.Clickstream.Topic] != made[config.Inputs.Reviews.Topic] {
		t.Errorf("clickstream and reviews are not co-partitioned: %v", made)
	}
	if !strings.Contains(script, "message.timestamp.type=LogAppendTime") {
		t.Error("the topics do not have the broker's append time")
	}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkFlags makes sure that the binary knows the command and flags that a file starts it with.
func checkFlags(t *testing.T, command []string) {
	t.Helper()
	words := literals(t, "../cmd/nudge/*.go")
	if len(command) == 0 || !words[command[0]] {
		t.Errorf("command %q: cmd/nudge has no such subcommand", command)
	}
	for _, argument := range command {
		if flag, ok := strings.CutPrefix(argument, "--"); ok && !words[flag] {
			t.Errorf("command %q: cmd/nudge has no flag --%s", command, flag)
		}
	}
}

// literals returns the string literals of Go files.
func literals(t *testing.T, pattern string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %d files", pattern, err, len(files))
	}
	words := map[string]bool{}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if s, err := strconv.Unquote(literal.Value); err == nil {
					words[s] = true
				}
			}
			return true
		})
	}
	return words
}

func TestDockerfile(t *testing.T) {
	text := read(t, "Dockerfile")
	for _, want := range []string{"CGO_ENABLED=0", "GOAMD64=v2", "-trimpath", "\nFROM scratch\n", "\nUSER 65532:65532\n", `ENTRYPOINT ["/nudge"]`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	for _, image := range regexp.MustCompile(`(?:FROM |--from=)(\S+)`).FindAllStringSubmatch(text, -1) {
		if name := image[1]; name != "scratch" && name != "build" && !pinned.MatchString(name) {
			t.Errorf("the image %q is not pinned to a version", name)
		}
	}
	if m := regexp.MustCompile(`FROM golang:([0-9.]+)`).FindStringSubmatch(text); m == nil || !strings.Contains(read(t, "../go.mod"), "go "+m[1][:strings.LastIndex(m[1], ".")]) {
		t.Errorf("the image's Go %v is not that of go.mod", m)
	}
	last := regexp.MustCompile(`(?m)^CMD (\[.*\])$`).FindStringSubmatch(text)
	var command []string
	if last == nil || json.Unmarshal([]byte(last[1]), &command) != nil {
		t.Fatal("no CMD")
	}
	checkFlags(t, command)
}

var (
	metricPattern = regexp.MustCompile(`\bnudge_[a-z_]+`)
	labelPattern  = regexp.MustCompile(`(?:by|without|on|ignoring) \(([a-z_, ]+)\)|\{\{ ?(?:\$labels\.)?([a-z_]+) ?\}\}`)
)

// checkExpr makes sure that a query asks for metrics and labels that there are, and is well bracketed.
func checkExpr(t *testing.T, where, expr string, texts ...string) {
	t.Helper()
	labels := []string{"le", "job", "instance"}
	for _, name := range metricPattern.FindAllString(expr, -1) {
		known := false
		for _, m := range deploy.Metrics {
			base := m.Name == name && m.Kind != "histogram"
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = base || m.Kind == "histogram" && m.Name+suffix == name
			}
			if base {
				known = true
				labels = append(labels, m.Labels...)
			}
		}
		if !known {
			t.Errorf("%s: %q: no metric %s; see Metrics", where, expr, name)
		}
	}
	for _, text := range append(texts, expr) {
		for _, m := range labelPattern.FindAllStringSubmatch(text, -1) {
			for _, label := range strings.FieldsFunc(m[1]+m[2], func(r rune) bool { return r == ',' || r == ' ' }) {
				if !slices.Contains(labels, label) {
					t.Errorf("%s: %q in %q: the metrics of %q have no label %s", where, m[0], text, expr, label)
				}
			}
		}
	}
	var open []rune
	pairs := map[rune]rune{')': '(', '}': '{', ']': '['}
	for _, r := range expr {
		switch r {
		case '(', '{', '[':
			open = append(open, r)
		case ')', '}', ']':
			if len(open) == 0 || open[len(open)-1] != pairs[r] {
				t.Fatalf("%s: %q: unmatched %c", where, expr, r)
			}
			open = open[:len(open)-1]
		}
	}
	if expr == "" || len(open) > 0 {
		t.Errorf("%s: %q is not a query", where, expr)
	}
}

func TestAlerts(t *testing.T) {
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "alerts.yml")), &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			checkExpr(t, "alerts.yml: "+r.Alert, r.Expr, r.Annotations["summary"], r.Annotations["description"])
			if seen[r.Alert] {
				t.Errorf("%s: twice", r.Alert)
			}
			seen[r.Alert] = true
			if !slices.Contains([]string{"info", "warning", "critical"}, r.Labels["severity"]) || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s: want a severity of info, warning or critical, a summary and a description", r.Alert)
			}
			if r.For != "" {
				if _, err := time.ParseDuration(r.For); err != nil {
					t.Errorf("%s: %v", r.Alert, err)
				}
			}
		}
	}
	for _, want := range []string{"NudgeLagging", "NudgeDeadLetters", "NudgeCheckpointOld", "NudgeSlowPublish", "NudgeRetentionClose", "NudgeBudgetSpent", "NudgeLeaseLost"} {
		if !seen[want] {
			t.Errorf("no alert %s", want)
		}
	}
}

func TestPrometheus(t *testing.T) {
	var file struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			JobName       string                       `yaml:"job_name"`
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "prometheus.yml")), &file); err != nil {
		t.Fatal(err)
	}
	mounted := false
	for _, v := range compose(t).Services["prometheus"].Volumes {
		mounted = mounted || slices.Contains(file.RuleFiles, v.Target)
	}
	if !mounted {
		t.Errorf("the rule files %v are not mounted by docker-compose.yml", file.RuleFiles)
	}
	if len(file.ScrapeConfigs) != 1 || file.ScrapeConfigs[0].JobName != "nudge" || file.ScrapeConfigs[0].StaticConfigs[0].Targets[0] != "nudge:9464" {
		t.Errorf("want the job nudge (alerts ask for it) with the target nudge:9464, got %+v", file.ScrapeConfigs)
	}
}

func TestDashboard(t *testing.T) {
	var board struct {
		UID, Title string
		Panels     []struct {
			ID          int
			Type, Title string
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct {
				RefID, Expr, LegendFormat string
				Datasource                struct{ UID string }
			}
		}
	}
	if err := json.Unmarshal([]byte(read(t, "grafana/dashboards/nudge.json")), &board); err != nil {
		t.Fatal(err)
	}
	var source struct {
		Datasources []struct{ UID, URL string }
	}
	if err := yaml.Unmarshal([]byte(read(t, "grafana/provisioning/datasources/prometheus.yml")), &source); err != nil {
		t.Fatal(err)
	}
	ids, shown := map[int]bool{}, map[string]bool{}
	for i, p := range board.Panels {
		if ids[p.ID] {
			t.Errorf("%s: the id %d is taken", p.Title, p.ID)
		}
		ids[p.ID] = true
		for _, q := range board.Panels[:i] {
			a, b := p.GridPos, q.GridPos
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%s lies over %s", p.Title, q.Title)
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s: shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != source.Datasources[0].UID {
				t.Errorf("%s: the datasource %q is not provisioned", p.Title, target.Datasource.UID)
			}
			checkExpr(t, "nudge.json: "+p.Title, target.Expr, target.LegendFormat)
			for _, name := range metricPattern.FindAllString(target.Expr, -1) {
				shown[strings.TrimSuffix(name, "_bucket")] = true
			}
		}
	}
	for _, m := range deploy.Metrics {
		if !shown[m.Name] {
			t.Errorf("the dashboard does not show %s", m.Name)
		}
	}
	if text := read(t, "grafana/provisioning/dashboards/nudge.yml"); !strings.Contains(text, "path: /etc/grafana/dashboards") {
		t.Error("the dashboards' folder is not that of docker-compose.yml")
	}
}

// Metrics lists what the node and the command serve, and nothing else.
func TestMetrics(t *testing.T) {
	seen := map[string]bool{}
	served := literals(t, "../engine/node/*.go")
	maps.Copy(served, literals(t, "../cmd/nudge/*.go"))
	for word := range served {
		if word != "" && metricPattern.FindString(word) == word && !slices.ContainsFunc(deploy.Metrics, func(m deploy.Metric) bool { return m.Name == word }) {
			t.Errorf("%s is served and not in Metrics", word)
		}
	}
	for _, m := range deploy.Metrics {
		if seen[m.Name] || m.Help == "" || !slices.Contains([]string{"counter", "gauge", "histogram"}, m.Kind) {
			t.Errorf("%+v: want a name of its own, a kind and a help", m)
		}
		seen[m.Name] = true
		if !served[m.Name] {
			t.Errorf("%s is in Metrics and served by nobody", m.Name)
		}
		if strings.HasSuffix(m.Name, "_total") != (m.Kind == "counter") {
			t.Errorf("%s: counters end in _total, and nothing else does", m.Name)
		}
		for _, label := range m.Labels {
			if slices.Contains([]string{"user", "anon", "customer", "item"}, label) {
				t.Errorf("%s: the label %s has too many values", m.Name, label)
			}
		}
	}
}

func TestKubernetes(t *testing.T) {
	type probe struct {
		HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
	}
	var set struct {
		Spec struct {
			Replicas    int
			ServiceName string `yaml:"serviceName"`
			Selector    struct {
				MatchLabels map[string]string `yaml:"matchLabels"`
			}
			Template struct {
				Metadata struct{ Labels map[string]string }
				Spec     struct {
					SecurityContext struct {
						RunAsNonRoot bool `yaml:"runAsNonRoot"`
						RunAsUser    int  `yaml:"runAsUser"`
					} `yaml:"securityContext"`
					Containers []struct {
						Image           string
						Args            []string
						Ports           []struct{ Name string }
						StartupProbe    probe `yaml:"startupProbe"`
						ReadinessProbe  probe `yaml:"readinessProbe"`
						LivenessProbe   probe `yaml:"livenessProbe"`
						SecurityContext struct {
							ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
							AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
						} `yaml:"securityContext"`
						VolumeMounts []struct {
							Name      string
							MountPath string `yaml:"mountPath"`
						} `yaml:"volumeMounts"`
					}
					Volumes []struct{ Name string }
				}
			}
			VolumeClaimTemplates []struct{ Metadata struct{ Name string } } `yaml:"volumeClaimTemplates"`
		}
	}
	kinds := map[string]bool{}
	for i, document := range strings.Split(read(t, "kubernetes/nudge.yaml"), "\n---\n") {
		var head struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string
			Metadata   struct{ Name string }
			Data       map[string]string
		}
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			t.Fatalf("document %d: %v", i+1, err)
		}
		if head.APIVersion == "" || head.Metadata.Name == "" {
			t.Errorf("document %d: no apiVersion or name", i+1)
		}
		kinds[head.Kind] = true
		switch head.Kind {
		case "ConfigMap":
			if _, faults := pipeline.Parse("kubernetes/nudge.yaml: shop.yaml", []byte(head.Data["shop.yaml"])); len(faults) > 0 {
				t.Error(faults)
			}
		case "StatefulSet":
			if err := yaml.Unmarshal([]byte(document), &set); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, kind := range []string{"ConfigMap", "Service", "StatefulSet"} {
		if !kinds[kind] {
			t.Fatalf("no %s", kind)
		}
	}
	spec := set.Spec
	pod := spec.Template.Spec
	if spec.Replicas != 1 || spec.ServiceName != "nudge" || len(pod.Containers) != 1 {
		t.Fatalf("want one replica of one container: a second node is refused by the lease; got %+v", spec)
	}
	for k, v := range spec.Selector.MatchLabels {
		if spec.Template.Metadata.Labels[k] != v {
			t.Errorf("the selector's %s: %s is not a label of the pod", k, v)
		}
	}
	c := pod.Containers[0]
	if !pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.RunAsUser != 65532 || !c.SecurityContext.ReadOnlyRootFilesystem ||
		c.SecurityContext.AllowPrivilegeEscalation == nil || *c.SecurityContext.AllowPrivilegeEscalation {
		t.Error("the container may do more than it needs")
	}
	if !pinned.MatchString(c.Image) {
		t.Errorf("the image %q is not pinned to a version", c.Image)
	}
	if c.StartupProbe.HTTPGet.Path != "/livez" || c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.LivenessProbe.HTTPGet.Path != "/livez" {
		t.Errorf("probes %+v %+v %+v", c.StartupProbe, c.ReadinessProbe, c.LivenessProbe)
	}
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	for _, v := range spec.VolumeClaimTemplates {
		volumes[v.Metadata.Name] = true
	}
	for _, m := range c.VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("no volume %s", m.Name)
		}
	}
	checkFlags(t, c.Args)
}

// The consumer in GUARANTEES.md is the one that is compiled and run here.
func TestGuaranteesShowTheConsumer(t *testing.T) {
	source := read(t, "consumer_example_test.go")
	shown := strings.SplitN(strings.SplitN(read(t, "GUARANTEES.md"), "```go\n", 2)[1], "```", 2)[0]
	if !strings.HasSuffix(source, shown) {
		t.Errorf("GUARANTEES.md shows\n%s\nwant the function of consumer_example_test.go", shown)
	}
}

// EVENTS.md names all types and reasons, and its examples are what they say they are.
func TestEventsAreTheContract(t *testing.T) {
	text := read(t, "EVENTS.md")
	for _, list := range [][]string{streams.TypeNames(), streams.FaultReasons(),
		{streams.ReasonHoldout, streams.ReasonConsent, streams.ReasonCooldown, streams.ReasonBudget, streams.ReasonMargin, streams.ReasonStale, streams.ReasonPaused}} {
		for _, word := range list {
			if !strings.Contains(text, "`"+word+"`") {
				t.Errorf("EVENTS.md does not name %s", word)
			}
		}
	}
	examples := regexp.MustCompile("(?s)```json ?([a-z]*)\n(.*?)\n```").FindAllStringSubmatch(text, -1)
	kinds := map[string]int{}
	for _, x := range examples {
		kind, example := x[1], []byte(x[2])
		kinds[kind]++
		switch kind {
		case "":
			var e streams.Event
			d := streams.NewDecoder(streams.Native)
			d.Strict = true
			if f := d.Decode(&streams.Record{Value: example}, &e); f != nil {
				t.Errorf("%s\nis no event: %v", example, f)
			}
		case "request":
			var e streams.Event
			if f := streams.NewDecoder(streams.Native).DecodeRequest(example, 0, &e); f != nil {
				t.Errorf("%s\nis no request: %v", example, f)
			}
		case "decision":
			d, err := streams.ParseDecision(example)
			if err != nil {
				t.Errorf("%s\nis no decision: %v", example, err)
			} else if again := d.AppendJSON(nil); string(again) != string(example) {
				t.Errorf("EVENTS.md shows\n%s\nit is written as\n%s", example, again)
			}
		case "dead":
			var fields map[string]any
			if err := json.Unmarshal(example, &fields); err != nil {
				t.Errorf("%s\nis no dead letter: %v", example, err)
			}
			for field := range fields {
				if !strings.Contains(string((&streams.DeadLetter{Key: []byte("k")}).AppendJSON(nil)), `"`+field+`":`) {
					t.Errorf("a dead letter has no field %s", field)
				}
			}
		}
	}
	if kinds[""] == 0 || kinds["decision"] < 3 || kinds["dead"] == 0 {
		t.Errorf("EVENTS.md has these examples: %v; want an event, a decision of each kind and a dead letter", kinds)
	}
}

// A consumer that crashes after acting and before acknowledging sees the decision again and does not act again.
func TestConsumerActsOnce(t *testing.T) {
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	defer func() { ns.Shutdown(); ns.WaitForShutdown() }()
	if !ns.ReadyForConnections(10 * time.Second) {
		t.Fatal("the embedded NATS server does not come up")
	}
	nc, err := nats.Connect(ns.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "NUDGE_SHOP_DECISIONS", Subjects: []string{"nudge.shop.decisions.>"}}); err != nil {
		t.Fatal(err)
	}
	const decisions = 20
	for i := range decisions {
		if _, err := js.Publish(ctx, "nudge.shop.decisions.coupon.cart_rescue.u-1", []byte("{}"), jetstream.WithMsgID(fmt.Sprintf("shop.clickstream-0-%d.cart_rescue.0", i))); err != nil {
			t.Fatal(err)
		}
	}
	acted, delivered := map[string]int{}, 0
	running, done := context.WithCancel(ctx)
	err = consume(running, js, func(id string, _ []byte) error {
		delivered++
		if acted[id] == 0 {
			acted[id]++ // the transaction commits,
			if len(acted)%2 == 0 {
				return errors.New("the consumer crashes before it acknowledges")
			}
		}
		if delivered == decisions+decisions/2 {
			done()
		}
		return nil
	})
	if err != nil || ctx.Err() != nil {
		t.Fatalf("%v, %v: %d deliveries of %d decisions", err, ctx.Err(), delivered, len(acted))
	}
	if len(acted) != decisions {
		t.Errorf("acted on %d of %d decisions", len(acted), decisions)
	}
	for id, n := range acted {
		if n != 1 {
			t.Errorf("%s: acted %d times", id, n)
		}
	}
}
