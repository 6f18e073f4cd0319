package gzipmember

import "hash/crc32"

// Combine returns the CRC-32 (IEEE) of two byte strings put together, from
// the CRC-32 of each and the length of the second, in bytes.
//
// A CRC is the remainder of a polynomial over GF(2). Putting n bytes behind
// the first string multiplies its polynomial by x^(8n); the CRC's inversions
// at both ends cancel out, so the remainders simply add.
func Combine(first, second uint32, length int64) uint32 {
	return multiply(powerOfX(length), first) ^ second
}

// powers[i] is x^(2^i) modulo the polynomial.
var powers = func() (t [64]uint32) {
	t[0] = 1 << 30 // x: bits are reflected, so the highest one is x^0
	for i := 1; i < len(t); i++ {
		t[i] = multiply(t[i-1], t[i-1])
	}
	return t
}()

// powerOfX is x^(8n) modulo the polynomial, for n >= 0.
func powerOfX(n int64) uint32 {
	p := uint32(1) << 31
	for i := 3; n > 0 && i < len(powers); i++ {
		if n&1 == 1 {
			p = multiply(powers[i], p)
		}
		n >>= 1
	}
	return p
}

// multiply returns a*b modulo the polynomial, in reflected form.
func multiply(a, b uint32) uint32 {
	var product uint32
	for ; a != 0; a <<= 1 {
		if a&(1<<31) != 0 {
			product ^= b
		}
		if b&1 == 1 {
			b = b>>1 ^ crc32.IEEE
		} else {
			b >>= 1
		}
	}
	return product
}
