package copybench

import (
	"bytes"
	"image/color"
	"os"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// PlotRows draws the candidates' rows a second into an SVG file.
func (r Result) PlotRows(path string) error {
	return r.plot(path, "Rows per second, in thousands", func(c Candidate) (float64, string) {
		return c.rowsPerSecond() / 1000, thousands(c.rowsPerSecond())
	})
}

// PlotMemory draws the candidates' peak memory into an SVG file.
func (r Result) PlotMemory(path string) error {
	return r.plot(path, "Peak memory of the candidate's processes, in MB", func(c Candidate) (float64, string) {
		return c.peakMB(), megabytes(c.peakMB())
	})
}

// plot draws a bar for each candidate, the first one on top; this project's
// own ones are of another color.
func (r Result) plot(path, title string, figure func(Candidate) (value float64, label string)) error {
	const barWidth = 12
	var names []string
	var own, others plotter.Values
	labels := plotter.XYLabels{}
	for i, c := range slices.Backward(r.Candidates) {
		value, label := figure(c)
		y := float64(len(r.Candidates) - 1 - i)
		names = append(names, c.Name)
		labels.XYs = append(labels.XYs, plotter.XY{X: value, Y: y})
		labels.Labels = append(labels.Labels, label)
		if strings.HasPrefix(c.Name, "engine_") || strings.HasPrefix(c.Name, "export_") {
			own, others = append(own, value), append(others, 0)
		} else {
			own, others = append(own, 0), append(others, value)
		}
	}
	p := plot.New()
	p.Title.Text = title
	p.Title.Padding = vg.Points(8)
	sans := font.Font{Typeface: "Liberation", Variant: "Sans"}
	p.Title.TextStyle.Font = font.From(sans, 12)
	p.X.Tick.Label.Font, p.Y.Tick.Label.Font = font.From(sans, 9), font.From(sans, 10)
	p.Y.Padding = vg.Points(8)
	for _, bars := range []struct {
		values plotter.Values
		color  color.Color
	}{{others, color.RGBA{R: 0x9a, G: 0xa5, B: 0xb1, A: 0xff}}, {own, color.RGBA{R: 0x1f, G: 0x6f, B: 0xb4, A: 0xff}}} {
		chart, err := plotter.NewBarChart(bars.values, vg.Points(barWidth))
		if err != nil {
			return err
		}
		chart.Horizontal, chart.Color, chart.LineStyle.Width = true, bars.color, 0
		p.Add(chart)
	}
	figures, err := plotter.NewLabels(labels)
	if err != nil {
		return err
	}
	figures.Offset = vg.Point{X: vg.Points(4), Y: vg.Points(-3)}
	for i := range figures.TextStyle {
		figures.TextStyle[i].Font = font.From(sans, 9)
	}
	p.Add(figures)
	p.NominalY(names...)
	p.X.Min, p.X.Max = 0, p.X.Max*1.1 // room for the longest bar's label

	canvas := vgsvg.New(vg.Points(600), vg.Points(float64(70+20*len(names))))
	const margin = 12 // a reader without the font has another, which may be wider
	p.Draw(draw.Crop(draw.New(canvas), margin, -margin, margin, -margin))
	var text bytes.Buffer
	if _, err := canvas.WriteTo(&text); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}
