package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Each row has a term, a meaning and a place in the code; a term stands once. Rows are not
// lost to a cell with a bar in it.
func TestTerms(t *testing.T) {
	terms := Terms()
	rows := strings.Count(glossary, "\n| ") - 2*strings.Count(glossary, "\n| ---")
	if len(terms) != rows || rows == 0 {
		t.Errorf("%d terms from %d rows of glossary.md", len(terms), rows)
	}
	seen := map[string]bool{}
	for _, term := range terms {
		if term.Name == "" || term.Section == "" || term.Where == "" || !strings.HasSuffix(term.Meaning, ".") {
			t.Errorf("%+v: want a term, a section, a place and a meaning that is a sentence", term)
		}
		if seen[term.Name] {
			t.Errorf("%q stands twice", term.Name)
		}
		seen[term.Name] = true
	}
}

// What a row names as its place is declared there.
func TestPlaces(t *testing.T) {
	packages := map[string]map[string]bool{}
	for _, term := range Terms() {
		i := strings.LastIndex(term.Where, "/") + 1
		name, symbol, _ := strings.Cut(term.Where[i:], ".")
		dir := term.Where[:i] + name
		if packages[dir] == nil {
			packages[dir] = declared(t, filepath.Join("..", filepath.FromSlash(dir)))
		}
		if !packages[dir][symbol] {
			t.Errorf("%s: package %s declares no %s", term.Name, dir, symbol)
		}
	}
}

// declared returns what a package declares: names, and Type.Name of methods and fields.
func declared(t *testing.T, dir string) map[string]bool {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				all[receiver(d)+d.Name.Name] = true
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					declare(all, spec)
				}
			}
		}
	}
	return all
}

// receiver returns "Type." of a method, and nothing of a function.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	of := d.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name + "."
	}
	return "?."
}

func declare(all map[string]bool, spec ast.Spec) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range s.Names {
			all[name.Name] = true
		}
	case *ast.TypeSpec:
		all[s.Name.Name] = true
		var members *ast.FieldList
		switch of := s.Type.(type) {
		case *ast.StructType:
			members = of.Fields
		case *ast.InterfaceType:
			members = of.Methods
		default:
			return
		}
		for _, m := range members.List {
			for _, name := range m.Names {
				all[s.Name.Name+"."+name.Name] = true
			}
		}
	}
}
