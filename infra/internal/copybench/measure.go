package copybench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what one run took. What the system doesn't tell is 0.
type usage struct {
	Seconds  float64
	CPU      float64 // seconds, of its own processes
	Postgres float64 // seconds of CPU
	StandIns float64 // seconds of CPU of those for S3, SQS and DynamoDB
	PeakMB   float64 // memory of its processes: the sum of their peaks
}

// pipeline runs commands at once, each one's output being the next one's
// input, and waits for all of them. The last one writes to its Stdout.
func pipeline(ctx context.Context, commands ...*exec.Cmd) (u usage, err error) {
	begin := time.Now()
	var peaks []<-chan float64
	var complaints []*bytes.Buffer
	ended, end := context.WithCancel(ctx)
	defer end()
	started, err := startAll(commands, func(cmd *exec.Cmd, stderr *bytes.Buffer) {
		peaks = append(peaks, watchPeak(ended, cmd.Process.Pid))
		complaints = append(complaints, stderr)
	})
	for i, cmd := range started {
		if waited := cmd.Wait(); waited != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), waited, tail(complaints[i].String())))
		}
		u.CPU += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	}
	u.Seconds = time.Since(begin).Seconds()
	end()
	for _, peak := range peaks {
		u.PeakMB += <-peak
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return u, err
}

// startAll starts commands, joined by pipes, and calls note for each. Those
// that were started before an error end by themselves, for want of a reader.
func startAll(commands []*exec.Cmd, note func(cmd *exec.Cmd, stderr *bytes.Buffer)) (started []*exec.Cmd, err error) {
	var pipes []*os.File // only the commands are to have them
	defer func() {
		for _, f := range pipes {
			err = errors.Join(err, f.Close())
		}
	}()
	for i, cmd := range commands {
		if i+1 < len(commands) {
			read, write, err := os.Pipe()
			if err != nil {
				return started, err
			}
			pipes = append(pipes, read, write)
			cmd.Stdout, commands[i+1].Stdin = write, read
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			return started, err
		}
		note(cmd, &stderr)
		started = append(started, cmd)
	}
	return started, nil
}

// tail is the end of a program's complaints.
func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n  ")
}

// peakEvery is how often a peak is read. To read it every 10 ms cost the
// engine a tenth of its time on two cores.
const peakEvery = 250 * time.Millisecond

// watchPeak reads a process's peak memory until ctx is done, and then gives
// it, in MB. What the process adds behind the last reading isn't seen. The kernel's
// account after its end, ru_maxrss, also counts the program that started it.
func watchPeak(ctx context.Context, pid int) <-chan float64 {
	peak := make(chan float64, 1)
	go func() {
		tick := time.NewTicker(peakEvery)
		defer tick.Stop()
		most := 0.0
		for {
			most = max(most, peakMB(pid))
			select {
			case <-ctx.Done():
				peak <- most
				return
			case <-tick.C:
			}
		}
	}()
	return peak
}

// peakMB is a process's VmHWM in MB of 2^20 bytes (proc_pid_status(5)); 0 where
// it isn't told.
func peakMB(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kB, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			return kB / 1024
		}
	}
	return 0
}

// stat is a part of a process's stat file (proc_pid_stat(5)).
type stat struct {
	parent           int
	own, descendants float64 // seconds of CPU; descendants are those that have ended and were waited for
}

func readStat(path string) (stat, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return stat{}, false
	}
	// The command's name, field 2, may hold blanks and parentheses.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 15 {
		return stat{}, false
	}
	field := func(n int) float64 { // as the manual numbers them
		v, _ := strconv.ParseFloat(fields[n-3], 64)
		return v
	}
	const perSecond = 100 // USER_HZ, on all of Linux's architectures that Go knows
	return stat{
		parent: int(field(4)), own: (field(14) + field(15)) / perSecond, descendants: (field(16) + field(17)) / perSecond,
	}, true
}

// cpuOf is the CPU time of a process in seconds; 0 where it isn't told.
func cpuOf(pid int) float64 {
	s, _ := readStat(fmt.Sprintf("/proc/%d/stat", pid))
	return s.own
}

// family is a process and its children.
type family struct {
	pid      int
	stat     stat
	children map[int]stat
}

func readFamily(pid int) family {
	f := family{pid: pid, children: map[int]stat{}}
	all, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for _, path := range all {
		child, ok := readStat(path)
		if id, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); ok && err == nil && child.parent == pid {
			f.children[id] = child
		}
	}
	f.stat, _ = readStat(fmt.Sprintf("/proc/%d/stat", pid))
	return f
}

// since is the CPU time in seconds that the family took since an earlier
// reading. It waits, not for long, until the children that began meanwhile have
// ended: a program's end comes before that of its session in Postgres.
func (f family) since(earlier family) float64 {
	for deadline := time.Now().Add(time.Second); f.hasNew(earlier) && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
		f = readFamily(f.pid)
	}
	return f.cpu() - earlier.cpu()
}

func (f family) hasNew(earlier family) bool {
	for pid := range f.children {
		if _, there := earlier.children[pid]; !there {
			return true
		}
	}
	return false
}

// cpu is the CPU time of the process and its children, living or not.
func (f family) cpu() float64 {
	total := f.stat.own + f.stat.descendants
	for _, child := range f.children {
		total += child.own
	}
	return total
}
