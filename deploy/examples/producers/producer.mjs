// Sends a push over Redis, with what Node has of its own, and prints its report: node producer.mjs REQUEST.json
//
// BROKER_URL         the workers' Redis, redis://USER:PASSWORD@HOST:PORT/0, or rediss://
// PRODUCER           the name by which the workers know this producer, if they ask for signatures
// PRODUCER_KEY_FILE  its key
//
// It ends with 0 if all tags moved, with 1 if some did not, with 2 if there is no report: the request was refused.
import { createHmac, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import net from "node:net";
import { setTimeout } from "node:timers/promises";
import tls from "node:tls";

const TASK = "imagepusher.push.v1";
const QUEUE = "imagepusher.push";
const { BROKER_URL, PRODUCER, PRODUCER_KEY_FILE } = process.env;

/** A connection to Redis that sends one command at a time; a client library does as well. */
class Redis {
  #received = Buffer.alloc(0);
  #socket;

  constructor({ protocol, hostname: host, port }) {
    const options = { host, port: Number(port || 6379) };
    this.#socket = protocol === "rediss:" ? tls.connect(options) : net.connect(options);
    this.#socket.on("error", (error) => this.reject?.(error));
    this.#socket.on("close", () => this.reject?.(new Error("Redis closed the connection.")));
    this.#socket.on("data", (bytes) => {
      this.#received = Buffer.concat([this.#received, bytes]);
      this.#answer();
    });
  }

  ask(...words) {
    const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
    return new Promise((resolve, reject) => {
      Object.assign(this, { resolve, reject });
      this.#socket.write(`*${words.length}\r\n${parts.join("")}`);
    });
  }

  #answer() {
    const end = this.#received.indexOf("\r\n");
    if (end < 0) return;
    const line = this.#received.toString("utf8", 1, end);
    const kind = String.fromCharCode(this.#received[0]);
    const length = kind === "$" ? Number(line) : -1;
    const next = length < 0 ? end + 2 : end + 2 + length + 2;
    if (this.#received.length < next) return;
    const text = this.#received.toString("utf8", end + 2, end + 2 + Math.max(length, 0));
    this.#received = this.#received.subarray(next);
    if (kind === "-") this.reject(new Error(`Redis refused: ${line}`));
    else this.resolve(kind !== "$" ? line : length < 0 ? null : text);
  }

  end() {
    this.reject = undefined;
    this.#socket.end();
  }
}

async function connect() {
  const url = new URL(BROKER_URL);
  const redis = new Redis(url);
  const [user, password] = [url.username || "default", url.password].map(decodeURIComponent);
  if (password) await redis.ask("AUTH", user, password);
  await redis.ask("SELECT", url.pathname.slice(1) || "0");
  return redis;
}

function message(request, id) {
  const body = JSON.stringify([[request], {}, {}]);
  const headers = { task: TASK, id };
  if (PRODUCER) {
    const key = readFileSync(PRODUCER_KEY_FILE, "utf8").trim();
    const now = Math.floor(Date.now() / 1000);
    const digest = createHmac("sha256", key).update(`${now}\n${TASK}\n${id}\n${body}`).digest("hex");
    headers.imagepusher_signature = `${PRODUCER}:${now}:${digest}`;
  }
  return JSON.stringify({
    body: Buffer.from(body).toString("base64"),
    "content-encoding": "utf-8",
    "content-type": "application/json",
    headers,
    properties: { body_encoding: "base64", delivery_tag: id, delivery_info: { exchange: "", routing_key: QUEUE } },
  });
}

async function push(request) {
  const redis = await connect();
  const id = randomUUID();
  await redis.ask("LPUSH", `imagepusher:${QUEUE}`, message(request, id));
  for (let tries = 0; tries < 7200; tries++) {
    const found = JSON.parse(await redis.ask("GET", `imagepusher:celery-task-meta-${id}`));
    if (["SUCCESS", "FAILURE"].includes(found?.status)) {
      redis.end();
      return found.result;
    }
    await setTimeout(500);
  }
  throw new Error(`Push ${id} has no result.`);
}

const result = await push(JSON.parse(readFileSync(process.argv[2], "utf8")));
// Of a push that failed the result is an error: its arguments are a summary and the report.
const report = result.exc_type === "PushFailed" ? result.exc_message[1] : result;
if (report.exc_type) {
  console.error(`${report.exc_type}: ${JSON.stringify(report.exc_message)}`);
  process.exitCode = 2;
} else {
  console.log(JSON.stringify(report));
  process.exitCode = report.state === "succeeded" ? 0 : 1;
}
