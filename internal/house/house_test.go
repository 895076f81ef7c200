package house

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// rooms in the order of their layer; a room may import only rooms of lower layers, and itself.
var layers = [][]string{
	{"internal"},
	{"call", "wire"},
	{"gpio", "audio", "call/rtc", "wire/link", "systemd", "hub/bus", "hub/call"},
	{"hub/access", "hub/authority", "hub/nats", "hub/record", "hub/hubtest", "hub/relay"},
	{"hub/hook", "hub/presence", "hub/api", "hub/cluster"},
	{"device", "hub", "web"},
	{"cmd", "images/board"},
}

// libraries, and rooms that are like them, and the only rooms that may know them.
var owners = map[string][]string{
	"github.com/pion/webrtc":          {"call/rtc", "cmd/intercom-attack"},
	"github.com/pion/ice":             {"call/rtc"},
	"github.com/pion/interceptor":     {"call/rtc"},
	"github.com/pion/rtp":             {"call/rtc", "cmd/intercom-attack"},
	"github.com/pion/rtcp":            {"call/rtc", "cmd/intercom-attack"},
	"github.com/pion/transport":       {"call/rtc"},
	"github.com/pion/opus":            {"audio"},
	"github.com/zaf/g711":             {"audio"},
	"github.com/jfreymuth/pulse":      {"audio"},
	"periph.io":                       {"gpio"},
	"github.com/coreos/go-systemd":    {"systemd"},
	"github.com/coder/websocket":      {"wire/link", "hub", "cmd/intercom-attack"},
	"github.com/pelletier/go-toml":    {"internal/config", "hub/access"},
	"github.com/pion/turn":            {"call/rtc", "hub/relay", "cmd/intercom-attack"},
	"github.com/pion/stun":            {"call/rtc", "hub/relay", "cmd/intercom-attack"},
	"github.com/prometheus":           {"hub"},
	"github.com/nats-io":              {"hub/nats"},
	"github.com/rogpeppe/go-internal": {"cmd"},
	"golang.org/x/crypto/acme":        {"cmd/intercom-hub"},
	"github.com/vishvananda/netlink":  {"device/network"},
	"github.com/vishvananda/netns":    {"device/network"},
	"intercom/audio":                  {"audio", "device/voice", "cmd/intercomd"},
	"intercom/call/rtc":               {"call/rtc", "device/voice"},
}

// pure rooms have no clock, network, files or goroutines of their own.
var pure = map[string][]string{
	"call":     {"net", "os", "sync", "context"},
	"hub/call": {"net", "os", "sync", "context"},
	"wire":     {"net", "os", "sync", "context"},
}

var (
	clock     = regexp.MustCompile(`\btime\.(Now|Since|Until|After|AfterFunc|NewTimer|NewTicker|Tick|Sleep)\(`)
	goroutine = regexp.MustCompile(`(?m)^\s*go [\w.]+\(|^\s*go func`)
)

type pkg struct {
	ImportPath, Dir, Doc     string
	GoFiles                  []string
	Imports, TestImports     []string
	XTestImports             []string
	CgoFiles, IgnoredGoFiles []string
	TestGoFiles              []string
	XTestGoFiles             []string
}

func packages(t *testing.T) []pkg {
	cmd := exec.Command("go", "list", "-json", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// room of an import path, by the longest name that fits, and its layer; -1 if it is not ours.
func room(path string) (string, int) {
	best, layer := "", -1
	for l, names := range layers {
		for _, n := range names {
			if full := "intercom/" + n; (path == full || strings.HasPrefix(path, full+"/")) && len(n) > len(best) {
				best, layer = n, l
			}
		}
	}
	return best, layer
}

func TestArrowsPointDown(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t) {
		from, fl := room(p.ImportPath)
		if fl < 0 {
			t.Errorf("%s belongs to no room; see docs/decisions/0001-rooms.md", p.ImportPath)
			continue
		}
		seen[from] = true
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, "intercom/") {
				to, tl := room(imp)
				if to != from && tl >= fl {
					t.Errorf("%s (layer %d) imports %s (layer %d): arrows point down", p.ImportPath, fl, imp, tl)
				}
				if to == "cmd" {
					t.Errorf("%s imports %s: nobody imports cmd", p.ImportPath, imp)
				}
				if strings.HasSuffix(imp, "test") {
					t.Errorf("%s imports the doubles of %s outside a test", p.ImportPath, imp)
				}
			}
		}
		for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			for lib, who := range owners {
				if (imp == lib || strings.HasPrefix(imp, lib+"/")) && !slices.ContainsFunc(who, func(w string) bool {
					return p.ImportPath == "intercom/"+w || strings.HasPrefix(p.ImportPath, "intercom/"+w+"/")
				}) {
					t.Errorf("%s imports %s, which only %v may", p.ImportPath, imp, who)
				}
			}
		}
		if from == "internal" && p.ImportPath != "intercom/internal/config" {
			for _, imp := range p.Imports {
				if strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
					t.Errorf("%s imports %s: internal uses the standard library only", p.ImportPath, imp)
				}
			}
		}
	}
	for _, names := range layers {
		for _, n := range names {
			if !seen[n] {
				t.Errorf("the room %s is gone; this test must name the rooms that there are", n)
			}
		}
	}
}

func TestPureRoomsHaveNoWorldOfTheirOwn(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, "intercom/")
		for _, bad := range pure[name] {
			if slices.Contains(p.Imports, bad) {
				t.Errorf("%s imports %s, but is pure", name, bad)
			}
		}
		if _, ok := pure[name]; ok {
			for _, f := range p.GoFiles {
				b, _ := os.ReadFile(filepath.Join(p.Dir, f))
				if clock.Match(b) {
					t.Errorf("%s/%s asks the clock, but %s is pure", name, f, name)
				}
				if goroutine.Match(b) {
					t.Errorf("%s/%s starts a goroutine, but %s is pure", name, f, name)
				}
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles)+len(p.CgoFiles) > 0 && len(p.Doc) < 40 {
			t.Errorf("%s has no package doc worth reading: %q", p.ImportPath, p.Doc)
		}
	}
}

// Outside cmd and tests nobody ends the process, panics, or keeps mutable package state in an init.
func TestNobodyButCmdEndsTheProcess(t *testing.T) {
	walk(t, func(path string, f *ast.File, set *token.FileSet) {
		if strings.HasPrefix(path, "cmd/") {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%s: init()", set.Position(n.Pos()))
				}
			case *ast.CallExpr:
				name := ""
				switch f := n.Fun.(type) {
				case *ast.Ident:
					name = f.Name
				case *ast.SelectorExpr:
					if x, ok := f.X.(*ast.Ident); ok {
						name = x.Name + "." + f.Sel.Name
					}
				}
				if name == "panic" || name == "os.Exit" || strings.HasPrefix(name, "log.Fatal") {
					t.Errorf("%s: %s outside cmd", set.Position(n.Pos()), name)
				}
			}
			return true
		})
	})
}

func walk(t *testing.T, visit func(path string, f *ast.File, set *token.FileSet)) {
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", "bin", "out", "node_modules"}, d.Name()) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		visit(rel, f, set)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

func TestLinksInTheDocumentsLeadSomewhere(t *testing.T) {
	pages, _ := filepath.Glob(root + "/*.md")
	more, _ := filepath.Glob(root + "/*/*.md")
	deep, _ := filepath.Glob(root + "/docs/*/*.md")
	for _, page := range slices.Concat(pages, more, deep) {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}

// Every link of a page leads to a file that is there, and to a heading of it.
func TestLinksLeadSomewhere(t *testing.T) {
	link, heading := regexp.MustCompile(`\]\(([^)\s]+)\)`), regexp.MustCompile(`(?m)^#+ (.*)$`)
	anchor := func(h string) string {
		h = regexp.MustCompile(`[^a-z0-9_\- ]`).ReplaceAllString(strings.ToLower(h), "")
		return strings.ReplaceAll(h, " ", "-")
	}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if e != nil && e.IsDir() && (e.Name() == "node_modules" || e.Name() == "out" ||
			strings.HasPrefix(e.Name(), ".") && len(e.Name()) > 2) {
			return fs.SkipDir
		}
		if err != nil || e.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		page, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllSubmatch(page, -1) {
			to, part, _ := strings.Cut(string(m[1]), "#")
			if strings.Contains(to, ":") {
				continue // elsewhere
			}
			target := path
			if to != "" {
				target = filepath.Join(filepath.Dir(path), to)
			}
			text, err := os.ReadFile(target)
			if st, serr := os.Stat(target); err != nil && (serr != nil || !st.IsDir()) {
				t.Errorf("%s leads to %s, which is not there", path, to)
				continue
			}
			if part != "" && !slices.ContainsFunc(heading.FindAllSubmatch(text, -1), func(h [][]byte) bool {
				return anchor(string(h[1])) == part
			}) {
				t.Errorf("%s leads to #%s of %s, which has no such heading", path, part, target)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The hub is installed on servers without a sound library.
func TestTheHubNeedsNoSound(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "./cmd/intercom-hub")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		if strings.Contains(dep, "/opus") || strings.Contains(dep, "/pulse") || dep == "intercom/device" {
			t.Errorf("intercom-hub needs %s", dep)
		}
	}
}
