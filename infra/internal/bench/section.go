package bench

import (
	"fmt"
	"os"
	"strings"
)

// Section replaces what stands between the marker comments of a name in a
// Markdown text. The error is that of a text without exactly one such section.
func Section(text, name, content string) (string, error) {
	begin, end := marker(name, "begin"), marker(name, "end")
	if strings.Count(text, begin) != 1 || strings.Count(text, end) != 1 {
		return "", fmt.Errorf("want the lines %s and %s once each", begin, end)
	}
	before, rest, _ := strings.Cut(text, begin)
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("want the line %s before %s", begin, end)
	}
	return before + begin + "\n\n" + strings.TrimSpace(content) + "\n\n" + end + after, nil
}

func marker(name, what string) string { return "<!-- " + name + ": " + what + " -->" }

// WriteSection replaces a section of a file, all at once.
func WriteSection(path, name, content string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	replaced, err := Section(string(text), name, content)
	if err != nil {
		return fmt.Errorf("write the section %s of %s: %w", name, path, err)
	}
	if err := os.WriteFile(path+".new", []byte(replaced), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
