package copybench

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"testing"
)

// The parent uses next to nothing itself; its child some 0.2 s or more, most of
// it after the reading began.
func TestFamily_since(t *testing.T) {
	const script = "read go; sh -c 'echo begun; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; read end"
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	before := readFamily(cmd.Process.Pid)
	if _, err := in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if got := readFamily(cmd.Process.Pid).since(before); got < 0.05 {
		t.Errorf("%.2f s of CPU, without the child's", got)
	}
	if own := cpuOf(cmd.Process.Pid); own > 0.05 {
		t.Errorf("%.2f s of the process's own", own)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

func TestWatchPeak(t *testing.T) {
	const size = 64 << 20
	kept := make([]byte, size)
	for i := range kept {
		kept[i] = 1
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := <-watchPeak(ctx, os.Getpid()); got < size>>20 || got > 16*size>>20 { // the race detector takes several times as much
		t.Errorf("%.1f MB, having touched %d", got, len(kept)>>20)
	}
}
