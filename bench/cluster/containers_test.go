package cluster

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/leasestorm/leasestorm/internal/need"
)

// examples is the folder of the examples in containers.
const examples = "../../docs/examples/cluster"

// compose is what the example uses of a Compose file. Any other key is an error.
type compose struct {
	Name     string             `json:"name"`
	Services map[string]service `json:"services"`
	Configs  map[string]source  `json:"configs"`
	Secrets  map[string]source  `json:"secrets"`
	Volumes  map[string]any     `json:"volumes"`
}

type source struct {
	File string `json:"file"`
}

type service struct {
	Image       string                       `json:"image"`
	Build       map[string]string            `json:"build"`
	Entrypoint  []string                     `json:"entrypoint"`
	Command     []string                     `json:"command"`
	Configs     []map[string]string          `json:"configs"`
	Secrets     []string                     `json:"secrets"`
	Volumes     []string                     `json:"volumes"`
	Tmpfs       []string                     `json:"tmpfs"`
	ReadOnly    bool                         `json:"read_only"`
	Ports       []string                     `json:"ports"`
	Healthcheck map[string]any               `json:"healthcheck"`
	DependsOn   map[string]map[string]string `json:"depends_on"`
	Deploy      map[string]any               `json:"deploy"`
	Grace       string                       `json:"stop_grace_period"`
	Restart     string                       `json:"restart"`
}

// decode reads a document, in which nothing may be unknown.
func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

func example(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func composed(t *testing.T) (c compose) {
	t.Helper()
	decode(t, example(t, "compose.yaml"), &c)
	return c
}

// secretsIn are the secrets that arguments, or a configuration, name by their paths in a container.
func secretsIn(text string) (names []string) {
	for _, m := range regexp.MustCompile(`run/secrets/([a-z.]+)`).FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// parses holds a command line against the flags of the real command.
func parses(t *testing.T, args ...string) {
	t.Helper()
	run(t, t.TempDir(), 0, append(slices.Clone(args), "--help")...)
}

// studyArgs are what study.sh calls leasestorm-cluster with, for a new study or one to go on with.
func studyArgs(t *testing.T, again bool, args ...string) []string {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\nprintf '%s\\n' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "leasestorm-cluster"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "surge")
	if again {
		folder = dir
	}
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{filepath.Join(examples, "study.sh")}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "FOLDER="+folder)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// study.sh ends with 0 if another start would change nothing, else with the study's status, and hands on the
// signal by which it is asked to stop.
func TestStudyEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		does      string
		term      bool
		want      int
		noRestart bool
	}{
		"whole":     {does: "exit 0"},
		"failed":    {does: "exit 1", want: 1},
		"refused":   {does: "exit 2", noRestart: true},
		"invalid":   {does: "exit 4", noRestart: true},
		"set aside": {does: `mkdir -p "$FOLDER/.cluster"; echo key >"$FOLDER/.cluster/set-aside"; exit 1`, noRestart: true},
		"stopped":   {does: `trap 'exit 130' TERM; echo ready; while :; do sleep 0.05; done`, term: true, want: 130},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "leasestorm-cluster"), []byte("#!/bin/sh\n"+tt.does+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "sh", filepath.Join(examples, "study.sh"))
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "FOLDER="+filepath.Join(dir, "surge"))
		var said safe
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if tt.term {
			for deadline := time.Now().Add(20 * time.Second); said.String() == "" && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			}
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != tt.want || strings.Contains(said.String(), "Another start would change nothing") != tt.noRestart {
			t.Errorf("%s: status %d, want %d: %s", name, got, tt.want, said.String())
		}
	}
}

// What the Compose file names is there, and the command takes its flags.
func TestComposeHoldsTogether(t *testing.T) {
	c := composed(t)
	for name, s := range c.Services {
		for on := range s.DependsOn {
			if _, ok := c.Services[on]; !ok {
				t.Errorf("%s depends on %s, which is no service", name, on)
			} else if c.Services[on].Healthcheck == nil {
				t.Errorf("%s waits for the health of %s, which has no check", name, on)
			}
		}
		for _, secret := range s.Secrets {
			if c.Secrets[secret].File != "secrets/"+secret {
				t.Errorf("%s: secret %s is in %q", name, secret, c.Secrets[secret].File)
			}
		}
		wanted := secretsIn(strings.Join(s.Command, " "))
		for _, config := range s.Configs {
			file := c.Configs[config["source"]].File
			if file == "" {
				t.Errorf("%s: config %s is not declared", name, config["source"])
				continue
			}
			wanted = append(wanted, secretsIn(string(example(t, file)))...)
		}
		for _, secret := range wanted {
			if !slices.Contains(s.Secrets, secret) {
				t.Errorf("%s reads the secret %s, and does not have it", name, secret)
			}
		}
		if len(wanted) != len(s.Secrets) {
			t.Errorf("%s has the secrets %v, and reads %v", name, s.Secrets, wanted)
		}
		for _, v := range s.Volumes {
			if volume, _, _ := strings.Cut(v, ":"); !slices.Contains(slices.Collect(maps.Keys(c.Volumes)), volume) {
				t.Errorf("%s: volume %s is not declared", name, volume)
			}
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: port %s is open to other hosts", name, port)
			}
		}
	}
	parses(t, c.Services["worker"].Command...)
	for _, again := range []bool{false, true} {
		parses(t, studyArgs(t, again, c.Services["coordinator"].Command...)...)
	}
	if c.Services["worker"].Image != c.Services["coordinator"].Image {
		t.Error("coordinator and workers are of different images")
	}
	if want := "nats:" + server.VERSION + "-alpine"; c.Services["nats"].Image != want {
		t.Errorf("the server is %s, and these tests are of %s", c.Services["nats"].Image, want)
	}
}

// manifests are the objects of the Kubernetes example, by kind and name, as far as other objects name them.
type manifests struct {
	services map[string]corev1.Service
	claims   map[string]bool
	pods     map[string]pod
}

// pod is what makes pods.
type pod struct {
	selector map[string]string
	template corev1.PodTemplateSpec
	claims   []corev1.PersistentVolumeClaim
}

func readManifests(t *testing.T, files []string) (m manifests) {
	t.Helper()
	m = manifests{map[string]corev1.Service{}, map[string]bool{}, map[string]pod{}}
	for _, file := range files {
		for _, doc := range bytes.Split(example(t, file), []byte("\n---\n")) {
			var kind struct {
				APIVersion string `json:"apiVersion"`
				Kind       string `json:"kind"`
			}
			if err := yaml.Unmarshal(doc, &kind); err != nil {
				t.Fatal(err)
			}
			switch kind.APIVersion + " " + kind.Kind {
			case "v1 Namespace":
				decode(t, doc, &corev1.Namespace{})
			case "v1 Service":
				var o corev1.Service
				decode(t, doc, &o)
				m.services[o.Name] = o
			case "v1 PersistentVolumeClaim":
				var o corev1.PersistentVolumeClaim
				decode(t, doc, &o)
				m.claims[o.Name] = true
			case "apps/v1 StatefulSet":
				var o appsv1.StatefulSet
				decode(t, doc, &o)
				m.pods[o.Name] = pod{o.Spec.Selector.MatchLabels, o.Spec.Template, o.Spec.VolumeClaimTemplates}
				if _, ok := m.services[o.Spec.ServiceName]; !ok {
					t.Errorf("%s: no service %q", o.Name, o.Spec.ServiceName)
				}
			case "apps/v1 Deployment":
				var o appsv1.Deployment
				decode(t, doc, &o)
				m.pods[o.Name] = pod{o.Spec.Selector.MatchLabels, o.Spec.Template, nil}
			case "batch/v1 Job":
				var o batchv1.Job
				decode(t, doc, &o)
				m.pods[o.Name] = pod{o.Spec.Template.Labels, o.Spec.Template, nil}
			default:
				t.Errorf("%s: %s %s is of no kind that the example has", file, kind.APIVersion, kind.Kind)
			}
		}
	}
	return m
}

// kustomization is what the example uses of one.
type kustomization struct {
	APIVersion string              `json:"apiVersion"`
	Kind       string              `json:"kind"`
	Namespace  string              `json:"namespace"`
	Resources  []string            `json:"resources"`
	Images     []map[string]string `json:"images"`
	ConfigMaps []generator         `json:"configMapGenerator"`
	Secrets    []generator         `json:"secretGenerator"`
}

type generator struct {
	Name  string   `json:"name"`
	Files []string `json:"files"`
}

// keys are those of what is generated, by name.
func keys(all []generator) map[string][]string {
	out := map[string][]string{}
	for _, g := range all {
		for _, file := range g.Files {
			out[g.Name] = append(out[g.Name], filepath.Base(file))
		}
	}
	return out
}

// within reports whether all labels of a selector are among those of a pod.
func within(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

// The manifests are of Kubernetes' own types, what they name is there, and the command takes their flags.
func TestManifestsHoldTogether(t *testing.T) {
	var k kustomization
	decode(t, example(t, "kustomization.yaml"), &k)
	m := readManifests(t, k.Resources)
	configs, secrets := keys(k.ConfigMaps), keys(k.Secrets)
	if len(m.pods) != 3 {
		t.Fatalf("%d kinds of pods, want those of the server, the coordinator and the workers", len(m.pods))
	}
	for name, s := range m.services {
		reached := false
		for _, p := range m.pods {
			if within(s.Spec.Selector, p.template.Labels) {
				reached = true
				for _, port := range s.Spec.Ports {
					if !hasPort(p.template.Spec.Containers[0], port.TargetPort.String()) {
						t.Errorf("service %s: no container has the port %s", name, port.TargetPort.String())
					}
				}
			}
		}
		if !reached {
			t.Errorf("service %s selects no pod", name)
		}
	}
	for name, p := range m.pods {
		spec := p.template.Spec
		if !within(p.selector, p.template.Labels) {
			t.Errorf("%s: its selector does not select its pods", name)
		}
		if len(spec.Containers) != 1 {
			t.Fatalf("%s: %d containers", name, len(spec.Containers))
		}
		c := spec.Containers[0]
		volumes, has := map[string]bool{}, []string(nil)
		files := map[string][]string{} // of the ConfigMaps, by volume
		for _, claim := range p.claims {
			volumes[claim.Name] = true
		}
		for _, v := range spec.Volumes {
			volumes[v.Name] = true
			switch {
			case v.Secret != nil:
				if has = secrets[v.Secret.SecretName]; has == nil {
					t.Errorf("%s: no secret %s is made", name, v.Secret.SecretName)
				}
			case v.ConfigMap != nil:
				if files[v.Name] = configs[v.ConfigMap.Name]; len(files[v.Name]) == 0 {
					t.Errorf("%s: no ConfigMap %s is made", name, v.ConfigMap.Name)
				}
			case v.PersistentVolumeClaim != nil:
				if !m.claims[v.PersistentVolumeClaim.ClaimName] {
					t.Errorf("%s: no claim %s", name, v.PersistentVolumeClaim.ClaimName)
				}
			}
		}
		wanted := secretsIn(strings.Join(c.Args, " "))
		if c.Name == "nats" {
			wanted = secretsIn(string(example(t, "nats.conf")))
		}
		for _, secret := range wanted {
			if !slices.Contains(has, secret) {
				t.Errorf("%s reads the secret %s, and has %v", name, secret, has)
			}
		}
		for _, mount := range c.VolumeMounts {
			if !volumes[mount.Name] {
				t.Errorf("%s: no volume %s", name, mount.Name)
			}
			delete(volumes, mount.Name)
			if mount.SubPath != "" && !slices.Contains(files[mount.Name], mount.SubPath) {
				t.Errorf("%s: no file %s", name, mount.SubPath)
			}
		}
		if len(volumes) > 0 {
			t.Errorf("%s: nobody mounts %v", name, volumes)
		}
		for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
			switch {
			case probe == nil:
			case probe.HTTPGet != nil && !hasPort(c, probe.HTTPGet.Port.String()), probe.TCPSocket != nil && !hasPort(c, probe.TCPSocket.Port.String()):
				t.Errorf("%s: a probe of a port that the container has not", name)
			case probe.HTTPGet != nil && probe.HTTPGet.Path != "/metrics":
				t.Errorf("%s: a probe of %s", name, probe.HTTPGet.Path)
			}
		}
		if c.ReadinessProbe == nil || c.Resources.Requests.Cpu().IsZero() || c.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s: no readiness probe, or no resources", name)
		}
		if g := spec.TerminationGracePeriodSeconds; g == nil || *g < 5 {
			t.Errorf("%s: the grace is %v, want 5 s or more", name, g)
		}
		if port := p.template.Annotations["prometheus.io/port"]; c.Name != "nats" && (!slices.Contains(c.Args, "--metrics=0.0.0.0:"+port) || port != fmt.Sprint(c.Ports[0].ContainerPort)) {
			t.Errorf("%s: metrics at %v, port %s in the annotation, %d of the container", name, c.Args, port, c.Ports[0].ContainerPort)
		}
	}
	worker, coordinator := m.pods["leasestorm-worker"].template.Spec.Containers[0], m.pods["leasestorm-coordinator"].template.Spec.Containers[0]
	parses(t, worker.Args...)
	for _, again := range []bool{false, true} {
		parses(t, studyArgs(t, again, coordinator.Args...)...)
	}
	of := composed(t).Services
	for name, image := range map[string]string{"worker": worker.Image, "coordinator": coordinator.Image, "nats": m.pods["leasestorm-nats"].template.Spec.Containers[0].Image} {
		if of[name].Image != image {
			t.Errorf("%s: image %s, and %s for Compose", name, image, of[name].Image)
		}
	}
	if len(k.Images) != 1 || k.Images[0]["name"] != worker.Image {
		t.Errorf("kustomization: images %v, want one for %s", k.Images, worker.Image)
	}
}

// hasPort reports whether a container has a port of a name.
func hasPort(c corev1.Container, name string) bool {
	return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
}

// The image has the program that the Makefile builds, and a user that is not root by number.
func TestDockerfile(t *testing.T) {
	text := string(example(t, "Dockerfile"))
	for _, want := range []string{
		"\nRUN make cluster\n", "\nCOPY --from=build /src/bin/leasestorm-cluster /usr/local/bin/leasestorm-cluster\n",
		"\nUSER 65532:65532\n", "\nENTRYPOINT [\"leasestorm-cluster\"]\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q", strings.TrimSpace(want))
		}
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^cluster:[^\n]*\n(\t[^\n]*\n)*\t[^\n]*-o ../../bin/leasestorm-cluster `).Match(makefile) {
		t.Error("make cluster does not build bin/leasestorm-cluster")
	}
}

// No secret is in the repository, and git ignores those that a user makes.
func TestNoSecrets(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "--others", "--cached", "--exclude-standard", ".")
	cmd.Dir = examples
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("no git, or no repository: %v", err)
	}
	if strings.Contains(string(out), "secrets/") || !strings.Contains(string(out), "secrets.sh") {
		t.Errorf("git has:\n%s", out)
	}
	for _, name := range strings.Fields(string(out)) {
		if text := string(example(t, name)); strings.Contains(text, "PRIVATE KEY") || regexp.MustCompile(`[0-9a-f]{32}`).MatchString(text) {
			t.Errorf("%s looks like a secret", name)
		}
	}
}

// The example works: a server by nats.conf with what secrets.sh makes, and the commands of the Compose file,
// with the addresses and folders of this test. The second time the study is there, and is gone on with.
func TestExampleRuns(t *testing.T) {
	t.Parallel()
	need.Tool(t, "openssl", "openssl")
	dir := t.TempDir()
	at := func(path string) string { return filepath.Join(dir, path) }
	for _, name := range []string{"etc/nats", "run", "bin"} {
		if err := os.MkdirAll(at(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	place := func(name, text string) {
		if err := os.WriteFile(at(name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	place("run/secrets.sh", string(example(t, "secrets.sh")))
	for range 2 { // the second time all is there
		if out, err := exec.CommandContext(t.Context(), "sh", at("run/secrets.sh")).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if info, err := os.Stat(at("run/secrets")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of the secrets: %v, %v", err, info.Mode())
	}
	place("etc/nats/nats.conf", strings.NewReplacer(`"/run/`, `"`+at("run")+"/", `"/data"`, `"`+at("data")+`"`).Replace(string(example(t, "nats.conf"))))
	o, err := server.ProcessConfigFile(at("etc/nats/nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if o.Port != 4222 || o.HTTPHost != "127.0.0.1" || !o.JetStream || o.Authorization == "" || o.TLSConfig == nil {
		t.Errorf("port %d, monitoring on %s, JetStream %v", o.Port, o.HTTPHost, o.JetStream)
	}
	o.Host, o.Port, o.HTTPPort, o.NoSigs, o.NoLog = "127.0.0.1", server.RANDOM_PORT, server.RANDOM_PORT, true, true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server does not start")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, at("bin/leasestorm-cluster")); err != nil {
		t.Fatal(err)
	}
	here := func(args []string) (out []string) {
		r := strings.NewReplacer("tls://nats:4222", "tls://"+s.Addr().String(), "/run/secrets", at("run/secrets"), "0.0.0.0:9464", "127.0.0.1:0")
		for _, arg := range args {
			out = append(out, r.Replace(arg))
		}
		return out
	}
	services := composed(t).Services
	worker, said := command(t.Context(), t, dir, here(services["worker"].Command)...)
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = worker.Wait() }()
	defer func() { _ = worker.Process.Signal(syscall.SIGTERM) }()
	small := strings.Fields("--leases 2000 --broken 200 --x beta=1:4:2 --y rho=0.1:0.5:2 --seeds 1")
	for turn, more := range [][]string{small, nil} {
		cmd := exec.CommandContext(t.Context(), "sh", append([]string{filepath.Join(examples, "study.sh")}, append(here(services["coordinator"].Command), more...)...)...)
		cmd.Env = append(os.Environ(), "PATH="+at("bin")+":"+os.Getenv("PATH"), "FOLDER="+at("surge"))
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "metrics: http://127.0.0.1:") {
			t.Fatalf("turn %d: %v: %s\n%s", turn, err, out, said)
		}
	}
	if _, err := os.Stat(at("surge/map.svg")); err != nil {
		t.Error(err)
	}
}
