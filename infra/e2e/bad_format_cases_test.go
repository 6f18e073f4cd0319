package e2e

import (
	"fmt"
	"strings"
)

// badFormats are wrong options of the format, each alone and together.
func badFormats() []badInput {
	option := func(name, option string, fields ...string) badInput {
		return create(name, `{"format":{`+option+`}}`, fields...)
	}
	cases := []badInput{
		option("an unknown option", `"encoding":"utf-8"`, "format.encoding"),
		option("COPY's option that isn't ours", `"escape":"\\"`, "format.escape"),
		option("an option in capitals", `"BOM":true`, "format.BOM"),
		option("an option without a name", `"":";"`, "format."),
		option("an option twice", `"delimiter":";","delimiter":";"`, "format.delimiter"),
		option("an option twice, once escaped", `"bom":true,"\u0062om":true`, "format.bom"),
		option("the quote is the delimiter", `"quote":";","delimiter":";"`, "format.quote"),
		option("the quote is the default delimiter", `"quote":","`, "format.quote"),
		option("the delimiter is the default quote", `"delimiter":"\""`, "format.quote"),
		option("the text for NULL has the delimiter", `"null":"a;b","delimiter":";"`, "format.null"),
		option("the text for NULL has the default delimiter", `"null":"n,a"`, "format.null"),
		option("the text for NULL has the quote", `"null":"it's","quote":"'"`, "format.null"),
		option("text for NULL of 21 characters", `"null":"`+strings.Repeat("ä", 21)+`"`, "format.null"),
		option("every option wrong", `"delimiter":"ab","quote":"","null":"\n","header":1,"bom":"yes","lineEnding":"\r\n","formulaGuard":null,"compression":"zip"`,
			"format.header", "format.bom", "format.formulaGuard", "format.delimiter", "format.quote", "format.null", "format.lineEnding", "format.compression"),
		create("a format twice", `{"format":{},"format":{}}`, "format"),
		create("an option of the format outside", `{"delimiter":";"}`, "delimiter"),
	}
	characters := []string{`""`, `"\n"`, `"\r"`, `"\u0000"`, `"||"`, `"\\t"`, `"ä"`, `"␟"`, `5`, `true`, `null`, `[";"]`, `{}`}
	booleans := []string{`1`, `0`, `"true"`, `""`, `null`, `[]`, `{}`}
	for _, wrong := range []struct {
		option string
		values []string
	}{
		{"delimiter", characters},
		{"quote", characters},
		{"null", []string{`"\n"`, `"a\rb"`, `"\u0000"`, `0`, `false`, `null`, `[]`, `{}`}},
		{"header", booleans},
		{"bom", booleans},
		{"formulaGuard", booleans},
		{"lineEnding", []string{`""`, `"\n"`, `"\r\n"`, `"cr"`, `"LF"`, `"CRLF"`, `" lf"`, `5`, `null`, `["lf"]`, `{}`}},
		{"compression", []string{`""`, `"GZIP"`, `"zip"`, `"zstd"`, `"gz"`, `true`, `null`, `9`, `["gzip"]`, `{}`}},
	} {
		for _, value := range wrong.values {
			cases = append(cases, option(wrong.option+" is "+value, `"`+wrong.option+`":`+value, "format."+wrong.option))
		}
	}
	return cases
}

// badFileNames are names that some system can't save, or that say otherwise
// than what is in the file.
func badFileNames() []badInput {
	named := func(name, value, more string) badInput {
		return create("file name: "+name, `{"fileName":"`+value+`"`+more+`}`, "fileName")
	}
	cases := []badInput{
		named("empty", ``, ``),
		named("121 characters", strings.Repeat("x", 114)+`.csv.gz`, ``),
		named("more than 255 bytes", strings.Repeat("𝔘", 63)+`.csv.gz`, ``),
		named("only the extension", `.csv.gz`, ``),
		named("only dots", `...`, ``),
		named("a dot first", `.a.csv.gz`, ``),
		named("a dot last", `a.csv.gz.`, ``),
		named("a space first", ` a.csv.gz`, ``),
		named("a space last", `a.csv.gz `, ``),
		named("another folder", `../a.csv.gz`, ``),
		named("a new header", `a\r\nSet-Cookie: x=1;.csv.gz`, ``),
		named("a line separator", `a\u2028.csv.gz`, ``),
		named("text that runs backwards", `a\u202ezg.csv.gz`, ``),
		named("no extension", `a`, ``),
		named("half the extension", `a.csv`, ``),
		named("another extension", `a.xlsx`, ``),
		named("extension in capitals", `A.CSV.GZ`, ``),
		named("not packed by its name", `a.csv`, `,"format":{"compression":"gzip"}`),
		named("packed by its name", `a.csv.gz`, `,"format":{"compression":"none"}`),
		create("a file name twice", `{"fileName":"a.csv.gz","fileName":"a.csv.gz"}`, "fileName"),
	}
	for _, c := range []string{`/`, `\\`, `:`, `*`, `?`, `\"`, `<`, `>`, `|`, `\u0000`, `\t`, `\u001b`, `\u007f`, `\u0085`} {
		cases = append(cases, named(fmt.Sprintf("with %s", c), `a`+c+`b.csv.gz`, ``))
	}
	return cases
}
