// Writes what a gzip file holds to stdout, read by the web platform's
// DecompressionStream, which refuses bytes behind the member.
import { createReadStream } from "node:fs";
import { Readable, Writable } from "node:stream";

const file = Readable.toWeb(createReadStream(process.argv[2]));
await file.pipeThrough(new DecompressionStream("gzip")).pipeTo(Writable.toWeb(process.stdout));
