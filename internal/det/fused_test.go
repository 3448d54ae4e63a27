package det_test

import (
	"encoding/json"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/leasestorm/leasestorm/"

// same are the packages whose arithmetic reaches a file or a decision of a virtual run.
var same = strings.Fields(`internal/det internal/huge queue queue/internal/prefetch queue/catalog queue/chunk queue/pad queue/admit lease lease/dwfm
	bench bench/compare bench/engine bench/export bench/fleet bench/gate bench/hist bench/law bench/oracle bench/published bench/record bench/scenario bench/study
	bench/internal/axis bench/internal/bisect bench/internal/parallel bench/internal/measure bench/internal/require bench/internal/show bench/internal/stat
	cmd/leasestorm/cli cmd/leasestorm-play bench/play/desk
	bench/incident bench/incident/dns bench/incident/explore bench/incident/dependency bench/incident/operator bench/incident/network bench/incident/balancer bench/incident/services bench/incident/watch`)

// different are those that may differ: figures, what measures a host, and what computes nothing.
var different = strings.Fields(`bench/archive bench/client bench/fault bench/host bench/live bench/play bench/plot bench/report bench/speed bench/internal/archivetest bench/internal/files bench/metrics queue/shield docs`)

// exact are the functions of package math that have one result on every architecture.
var exact = strings.Fields(`Abs Ceil Copysign Float32bits Float32frombits Float64bits Float64frombits Floor Frexp Inf
	IsInf IsNaN Ldexp Max Min Mod Modf NaN Nextafter Pow10 Round RoundToEven Signbit Sqrt Trunc`)

// others are functions and methods elsewhere that compute in other ways on some architectures.
var others = strings.Fields(`math/rand/v2.NormFloat64 math/rand/v2.ExpFloat64 math/rand/v2.NewZipf
	github.com/HdrHistogram/hdrhistogram-go.Mean github.com/HdrHistogram/hdrhistogram-go.StdDev`)

// TestOneArithmetic refuses what is computed in different ways on different architectures: a
// product of floats that is added without a conversion in between, at once, by way of a variable,
// a field or a function's result; and functions that differ.
func TestOneArithmetic(t *testing.T) {
	paths := make([]string, len(same))
	for i, p := range same {
		paths[i] = module + p
	}
	for _, found := range inspect(t, load(t, paths...)) {
		t.Error(found)
	}
}

// TestInspect shows what TestOneArithmetic refuses.
func TestInspect(t *testing.T) {
	const source = `package p
import ("math"; "math/rand/v2")
type s struct{ f float64 }
func product(a, b float64) float64 { return a * b }
func f(a, b, c float64, v *s, r *rand.Rand) float64 {
	x := float64(a*b) + c; x = a * 2 / b; x += float64(a * b); n := int(a*b) + 1; x = 2 * 3.5 + a; x += math.Sqrt(a) // not refused
	x = a*b + c // 1
	x = c - -(a * b) // 2
	x += a * b // 3
	y := a * b
	x = y - c // 4
	v.f *= a
	x = v.f + 1 // 5
	x = product(a, b) + c // 6
	x = math.Exp(x) // 7
	return x + r.NormFloat64() + float64(n) // 8
}`
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := check(t, fset, "p", []*ast.File{file}, importer.Default())
	if found := inspect(t, []checked{p}); len(found) != 8 {
		t.Errorf("%d refused, want 8:\n%s", len(found), strings.Join(found, "\n"))
	}
}

// checked is a package with its types.
type checked struct {
	fset  *token.FileSet
	files []*ast.File
	info  *types.Info
}

// load reads packages of the module by the types that the compiler wrote for what they import.
func load(t *testing.T, paths ...string) (all []checked) {
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps", "-export", "-json=ImportPath,Dir,GoFiles,Export"}, paths...)...).Output()
	if err != nil {
		t.Skipf("go list cannot be run: %v", err)
	}
	type listed struct {
		ImportPath, Dir, Export string
		GoFiles                 []string
	}
	exports, fset := map[string]string{}, token.NewFileSet()
	var ours []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if slices.Contains(paths, p.ImportPath) {
			ours = append(ours, p)
		} else if name, is := strings.CutPrefix(p.ImportPath, module); is && !slices.Contains(different, name) {
			t.Errorf("package %s has no place: enter it among those that compute the same, or among the different", name)
		}
	}
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	for _, p := range ours {
		var files []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		all = append(all, check(t, fset, p.ImportPath, files, imports))
	}
	if len(all) != len(paths) {
		t.Fatalf("%d of %d packages are there", len(all), len(paths))
	}
	return all
}

func check(t *testing.T, fset *token.FileSet, path string, files []*ast.File, imports types.Importer) checked {
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	if _, err := (&types.Config{Importer: imports}).Check(path, fset, files, info); err != nil {
		t.Fatal(err)
	}
	return checked{fset, files, info}
}

// inspect lists what is refused.
func inspect(t *testing.T, all []checked) (found []string) {
	t.Helper()
	products := map[string]bool{} // variables, fields and functions that are a product somewhere
	for _, p := range all {
		p.each(func(n ast.Node, within *ast.FuncDecl) {
			switch n := n.(type) {
			case *ast.AssignStmt:
				set := (n.Tok == token.ASSIGN || n.Tok == token.DEFINE) && len(n.Lhs) == len(n.Rhs)
				for i, to := range n.Lhs {
					if n.Tok == token.MUL_ASSIGN && p.float(to) || set && p.product(n.Rhs[i], nil) {
						products[p.name(to)] = true
					}
				}
			case *ast.ValueSpec:
				for i, x := range n.Values {
					if len(n.Values) == len(n.Names) && p.product(x, nil) {
						products[p.name(n.Names[i])] = true
					}
				}
			case *ast.ReturnStmt:
				if len(n.Results) == 1 && within != nil && p.product(n.Results[0], nil) {
					products[p.name(within.Name)] = true
				}
			}
		})
	}
	delete(products, "")
	for _, p := range all {
		refuse := func(n ast.Node, what string) {
			found = append(found, p.fset.Position(n.Pos()).String()+": "+what)
		}
		p.each(func(n ast.Node, _ *ast.FuncDecl) {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if added := n.Op == token.ADD || n.Op == token.SUB; added && p.float(n) && (p.product(n.X, products) || p.product(n.Y, products)) {
					refuse(n, "a product is added; convert it: float64(x*y) + z")
				}
			case *ast.AssignStmt:
				if added := n.Tok == token.ADD_ASSIGN || n.Tok == token.SUB_ASSIGN; added && (p.product(n.Rhs[0], products) || p.product(n.Lhs[0], products)) {
					refuse(n, "a product is added; convert it: z += float64(x * y)")
				}
			case *ast.Ident:
				f, _ := p.info.Uses[n].(*types.Func)
				if f == nil || f.Pkg() == nil {
					return
				}
				if f.Pkg().Path() == "math" && !slices.Contains(exact, f.Name()) || slices.Contains(others, f.Pkg().Path()+"."+f.Name()) {
					refuse(n, f.FullName()+" differs between architectures; see package det")
				}
			}
		})
	}
	return found
}

// each visits all nodes, with the function around them.
func (p *checked) each(visit func(n ast.Node, within *ast.FuncDecl)) {
	for _, file := range p.files {
		for _, d := range file.Decls {
			within, _ := d.(*ast.FuncDecl)
			ast.Inspect(d, func(n ast.Node) bool {
				visit(n, within)
				return true
			})
		}
	}
}

// float says whether x is a float that is no constant.
func (p *checked) float(x ast.Expr) bool {
	t, ok := p.info.Types[x]
	if !ok {
		o := p.info.Defs[identOf(x)]
		return o != nil && isFloat(o.Type())
	}
	return t.Value == nil && isFloat(t.Type)
}

func isFloat(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsFloat != 0
}

// product says whether x is a product, or of one of the names.
func (p *checked) product(x ast.Expr, names map[string]bool) bool {
	if !p.float(x) {
		return false
	}
	switch x := x.(type) {
	case *ast.ParenExpr:
		return p.product(x.X, names)
	case *ast.UnaryExpr:
		return p.product(x.X, names)
	case *ast.BinaryExpr:
		return x.Op == token.MUL
	case *ast.CallExpr:
		return names[p.name(x.Fun)]
	}
	return names[p.name(x)]
}

// name tells a variable by its place, a field or a function by its package.
func (p *checked) name(x ast.Expr) string {
	id := identOf(x)
	o := p.info.Uses[id]
	if o == nil {
		o = p.info.Defs[id]
	}
	switch o := o.(type) {
	case *types.Var:
		if !o.IsField() {
			return p.fset.Position(o.Pos()).String()
		}
		return o.Pkg().Path() + "." + o.Name()
	case *types.Func:
		return o.FullName()
	}
	return ""
}

// identOf is the name at the end of x, or nil.
func identOf(x ast.Expr) *ast.Ident {
	switch x := x.(type) {
	case *ast.Ident:
		return x
	case *ast.SelectorExpr:
		return x.Sel
	case *ast.IndexExpr:
		return identOf(x.X)
	case *ast.ParenExpr:
		return identOf(x.X)
	case *ast.StarExpr:
		return identOf(x.X)
	}
	return nil
}

// fused are the instructions with one rounding for two operations.
var fused = regexp.MustCompile(`\(([^()]*\.go:\d+)\)\s+(FN?M(?:ADD|SUB)[SD]|VFN?M(?:ADD|SUB)\d+S[SD])\b`)

// TestNoFusedInstructions reads what the compiler makes of the packages where it fuses: what the
// source does not show, such as a product that an inlined function returns, it shows.
func TestNoFusedInstructions(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the packages twice: the long run has it")
	}
	for _, target := range []string{"GOARCH=arm64", "GOARCH=amd64 GOAMD64=v3"} {
		args := []string{"build", "-gcflags=-S"}
		for _, p := range same {
			args = append(args, module+p)
		}
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Env = append(append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0"), strings.Fields(target)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", target, err, out[max(0, len(out)-2000):])
		}
		if !strings.Contains(string(out), "det.Exp STEXT") {
			t.Fatalf("%s: the compiler's listing has no det.Exp", target)
		}
		lines := map[string]bool{}
		for _, m := range fused.FindAllSubmatch(out, -1) {
			lines[string(m[1])+": "+string(m[2])] = true
		}
		for line := range lines {
			t.Errorf("%s: %s", target, line)
		}
	}
}
