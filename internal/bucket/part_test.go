package bucket

import "testing"

// The parts' sizes are S3's to accept (Amazon S3 User Guide, "multipart
// upload limits") and the function's to hold in memory.
func TestPartSize(t *testing.T) {
	last, sum := 0, int64(0)
	for n := 1; n <= 10_000; n++ {
		size := partSize(n)
		if size < last || size < 8<<20 || size > 98<<20 || n <= 1000 && size != 8<<20 {
			t.Fatalf("part %d has %d bytes, the one before %d", n, size, last)
		}
		last = size
		sum += int64(size)
	}
	if sum != MaxSize || MaxSize < 470<<30 {
		t.Errorf("the parts hold %d bytes, MaxSize is %d", sum, MaxSize)
	}
}
