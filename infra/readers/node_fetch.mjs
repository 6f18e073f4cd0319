// Writes a URL's answer to stdout, as fetch gives it: unpacked.
import { Writable } from "node:stream";

const answer = await fetch(process.argv[2]);
await answer.body.pipeTo(Writable.toWeb(process.stdout));
