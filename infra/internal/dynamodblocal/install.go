package dynamodblocal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"csvexport/infra/internal/filelock"
	"csvexport/infra/internal/process"
)

// Ensure returns the installation in dir of what source, infra/dynamodb, names:
// the packages of its pom.xml from Maven Central, whose checksums Maven checks,
// and its Java, compiled. It is made when it is missing or half made, or when
// source has changed since; out then gets one line. Callers of several programs
// wait for each other. The error says what to install where there is no JDK or
// no Maven.
func Ensure(ctx context.Context, dir, source string, out io.Writer) (install Install, err error) {
	java, err := lookPath("java")
	if err != nil {
		return Install{}, err
	}
	pom, class := filepath.Join(source, "pom.xml"), filepath.Join(source, "Loopback.java")
	want, err := stamp(pom, class)
	if err != nil {
		return Install{}, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return Install{}, fmt.Errorf("install DynamoDB Local: %w", err)
	}
	held, err := filelock.Wait(ctx, dir+".lock")
	if err != nil {
		return Install{}, err
	}
	defer func() { err = errors.Join(err, held.Release()) }()

	install = Install{Dir: dir, Java: java}
	stampFile := filepath.Join(dir, "complete")
	if got, err := os.ReadFile(stampFile); err == nil && string(got) == want {
		return install, nil
	}
	fmt.Fprintln(out, "installing DynamoDB Local (once, some seconds)")
	if err := os.RemoveAll(dir); err != nil {
		return Install{}, fmt.Errorf("remove the old DynamoDB Local: %w", err)
	}
	if err := install.make(ctx, pom, class); err != nil {
		return Install{}, fmt.Errorf("install DynamoDB Local: %w", err)
	}
	return install, os.WriteFile(stampFile, []byte(want), 0o644)
}

func (i Install) make(ctx context.Context, pom, class string) error {
	mvn, err := lookPath("mvn")
	if err != nil {
		return err
	}
	javac, err := lookPath("javac")
	if err != nil {
		return err
	}
	lib := filepath.Join(i.Dir, "lib")
	if err := os.MkdirAll(lib, 0o755); err != nil {
		return err
	}
	err = command(ctx, mvn, "--quiet", "--batch-mode", "--no-transfer-progress", "--strict-checksums", "--file", pom,
		"dependency:copy-dependencies", "-DoutputDirectory="+lib)
	if err != nil {
		return err
	}
	return command(ctx, javac, "-cp", filepath.Join(lib, "*"), "-d", filepath.Join(i.Dir, "classes"), class)
}

// stamp names the content of files.
func stamp(files ...string) (string, error) {
	sum := sha256.New()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("install DynamoDB Local: %w", err)
		}
		fmt.Fprintln(sum, len(text))
		sum.Write(text)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func lookPath(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("no %s on PATH: DynamoDB Local needs a JDK of at least 17 and Maven (Debian, Ubuntu: apt install default-jdk-headless maven)", program)
	}
	return path, nil
}

// command runs a program to its end; its error holds the last lines of output.
// Maven needs the shell's environment: proxies and its home are set there.
func command(ctx context.Context, path string, args ...string) error {
	output, err := process.Run(ctx, exec.CommandContext(ctx, path, args...))
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(path), err, process.LastLines(output, 5))
	}
	return err
}
