// Signs random requests with aws4: sign.mjs SEED COUNT MODULES, one JSON document a line.

import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";

const [seed, count, modules] = process.argv.slice(2);
const aws4 = createRequire(join(modules, "/"))("aws4");

const anything = [..."abcXYZ0189-._~ /%+&=?#;:@!$'()*,[]\"<>\\^`{|}é漢😀"];
const values = [..."abcXYZ0189-._~  /%+&=?#;:@!$'()*,[]\"<>\\^`{|}"];
const names = [..."abcxyz0189-_."];

let state = createHash("sha256").update(seed).digest();
let used = 0;

// below is a number from 0, as repeatable as its seed.
function below(n) {
  if (used + 4 > state.length) {
    state = createHash("sha256").update(state).digest();
    used = 0;
  }
  const word = state.readUInt32LE(used);
  used += 4;
  return word % n;
}

const pick = (of) => of[below(of.length)];
const text = (letters, most) => Array.from({ length: below(most) }, () => pick(letters)).join("");

// escaped is how clients send it: all but unreserved characters as %XX.
const escaped = (s) => encodeURIComponent(s).replace(/[!'()*]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());

function request() {
  const path = "/" + Array.from({ length: below(4) }, () => "s" + escaped(text(anything, 8))).join("/");
  const query = Array.from({ length: below(4) }, (_, i) => escaped(text(anything, 6) + i) + "=" + escaped(text(anything, 10))).join("&");
  const headers = { "X-Amz-Target": "Kinesis_20131202." + text(names, 12) };
  for (let i = below(5); i > 0; i--) {
    headers[pick(["X-Amz-", "X-", "Amz-Sdk-"]) + "n" + text(names, 8)] = text(values, 30);
  }
  if (below(2)) headers["Content-Type"] = "application/x-amz-json-1.1";
  return {
    host: `h${below(100)}.example:4567`, method: pick(["POST", "GET", "PUT", "DELETE"]), path: query ? path + "?" + query : path,
    headers, body: text(anything, 200), service: "kinesis", region: "us-east-1",
  };
}

const plain = { accessKeyId: "PLAIN", secretAccessKey: "a-secret-of-the-tests" };
const token = { accessKeyId: "TOKEN", secretAccessKey: "a-secret-of-the-tests", sessionToken: "a-session-token" };

let lines = [];
for (let i = 0; i < Number(count); i++) {
  const r = aws4.sign(request(), below(4) ? plain : token);
  lines.push(JSON.stringify({ method: r.method, target: r.path, headers: Object.entries(r.headers).map(([n, v]) => [n, String(v)]), body: r.body }) + "\n");
  if (lines.length === 100) {
    if (!process.stdout.write(lines.join(""))) await new Promise((resolve) => process.stdout.once("drain", resolve));
    lines = [];
  }
}
process.stdout.write(lines.join(""));
