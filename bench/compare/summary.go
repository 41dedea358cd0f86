package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Between these lines of a document stands the table.
const (
	begin = "<!-- bench/run writes from here -->\n"
	end   = "<!-- to here -->\n"
)

// row is a line of the short table: the median time of an operation over one connection, or, with
// more connections, how many of it a second.
type row struct {
	op          string
	connections int
	caption     string
}

var shown = []row{
	{"put", 1, "PUT of a new event"},
	{"put-if-match", 1, "PUT over an event (`If-Match`)"},
	{"get", 1, "GET"},
	{"delete", 1, "DELETE"},
	{"multiget-100", 1, "multiget of 100"},
	{"query-week", 1, "calendar-query of a week, with data"},
	{"query-year-etags", 1, "calendar-query of a year, ETags only"},
	{"sync-initial", 1, "first synchronisation"},
	{"sync-10-changes", 1, "synchronisation with 10 changes"},
	{"propfind-home", 1, "PROPFIND of the home"},
	{"propfind-calendar", 1, "PROPFIND of the calendar"},
	{"free-busy-week", 1, "free-busy of a week"},
	{"put", 4, "PUT per second, four clients"},
	{"put", 16, "PUT per second, sixteen clients"},
	{"get", 4, "GET per second, four clients"},
	{"query-week", 4, "calendar-query of a week per second, four clients"},
}

// writeSummary puts the short table of the reports into a document: the median of the rounds.
func writeSummary(path string, all []report) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("lacks the lines %q and %q", begin, end)
	}
	return os.WriteFile(path, []byte(before+begin+"\n"+shortTable(all)+"\n"+end+after), 0o644)
}

func shortTable(all []report) string {
	var columns []string
	rounds := map[string][]report{}
	for _, r := range all {
		name := fmt.Sprintf("%s, %s events", titleOf(r), thousands(r.N))
		if rounds[name] == nil {
			columns = append(columns, name)
		}
		rounds[name] = append(rounds[name], r)
	}
	var b strings.Builder
	line := func(caption string, cell func([]report) string) {
		fmt.Fprintf(&b, "| %s ", caption)
		for _, column := range columns {
			fmt.Fprintf(&b, "| %s ", cell(rounds[column]))
		}
		b.WriteString("|\n")
	}
	fmt.Fprintf(&b, "| | %s |\n|---%s|\n", strings.Join(columns, " | "), strings.Repeat("|---", len(columns)))
	for _, r := range shown {
		line(r.caption, func(reports []report) string { return figureOf(reports, r) })
	}
	of := func(value func(report) float64) func([]report) string {
		return func(reports []report) string {
			var values []float64
			for _, r := range reports {
				values = append(values, value(r))
			}
			return short(median(values))
		}
	}
	line("ready after start, empty / with the events, ms", func(reports []report) string {
		return of(func(r report) float64 { return median(slices.Clone(r.StartMs)) })(reports) + " / " +
			of(func(r report) float64 { return r.RestartMs })(reports)
	})
	line("memory idle / after the load / peak, MiB", func(reports []report) string {
		return of(func(r report) float64 { return r.IdleMiB })(reports) + " / " +
			of(func(r report) float64 { return r.LoadedMiB })(reports) + " / " +
			of(func(r report) float64 { return r.PeakMiB })(reports)
	})
	line("a power cut loses", func(reports []report) string { return reports[0].Durable })
	return b.String()
}

func titleOf(r report) string {
	if r.Title != "" {
		return r.Title
	}
	return r.Label
}

// figureOf is the median of the rounds, with what was wrong of it.
func figureOf(reports []report, wanted row) string {
	var values []float64
	wrong, errors, count := 0, 0, 0
	for _, r := range reports {
		for _, f := range r.Figures {
			if f.Op != wanted.op || f.C != wanted.connections {
				continue
			}
			if f.Unsupported {
				return "not supported"
			}
			wrong, errors, count = wrong+f.Wrong, errors+f.Errors, count+f.Count
			switch {
			case f.Count == f.Errors:
			case wanted.connections == 1:
				values = append(values, f.P50)
			default:
				values = append(values, f.PerSecond)
			}
		}
	}
	text := "–"
	if len(values) > 0 {
		text = short(median(values))
	}
	if wrong > 0 {
		text += fmt.Sprintf(", wrong in %d of %d", wrong, count)
	}
	if errors > 0 {
		text += fmt.Sprintf(", failed in %d of %d", errors, count)
	}
	return text
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func short(v float64) string {
	switch {
	case v >= 1000:
		return thousands(int(v + 0.5))
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
