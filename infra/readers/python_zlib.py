"""Writes what a gzip file holds to stdout, read by zlib's decompressor as
programs do that unpack while they download: chunk by chunk, one member. Fails
if the member ends before the file does, or the file before the member.
"""

import sys
import zlib

member = zlib.decompressobj(31)  # the largest window, with gzip's header and trailer
with open(sys.argv[1], "rb") as file:
    while chunk := file.read(10_007):  # a prime: chunks end anywhere
        if member.eof:
            sys.exit("bytes follow the member")
        sys.stdout.buffer.write(member.decompress(chunk))
sys.stdout.buffer.write(member.flush())
if not member.eof or member.unused_data:
    sys.exit(f"eof is {member.eof}, {len(member.unused_data)} bytes are unused")
