/** The client over real connections, against a scripted server that can misbehave. */
import assert from "node:assert/strict";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, test } from "node:test";

import { status as Code } from "@grpc/grpc-js";

import {
  DeadlineExceeded,
  InvalidRequest,
  MessageTooLarge,
  Overloaded,
  TidemillClient,
  TidemillError,
  Unauthenticated,
  Unavailable,
  type Result,
} from "../src/index.js";
import { isLocal } from "../src/connection.js";
import { ScriptedServer, status } from "./scripted.js";

let server: ScriptedServer;
let client: TidemillClient;

beforeEach(async () => {
  server = new ScriptedServer();
  await server.start();
  client = new TidemillClient(server.address, { apiKey: "tm_key.secret" });
});

afterEach(() => {
  client.close();
  server.stop();
});

const texts = (count: number): string[] => Array.from({ length: count }, (_, n) => `text ${n}`);

async function labels(results: AsyncIterable<Result>): Promise<string[]> {
  const found: string[] = [];
  for await (const one of results) found.push(one instanceof TidemillError ? one.reason : one.label);
  return found;
}

test("the API key is sent with unary calls and streams", async () => {
  await client.predict("t", "a");
  await labels(client.predictMany("t", ["a"]));
  const sent = server.metadata.map((one) => one.get("authorization"));
  assert.deepEqual(sent, [["Bearer tm_key.secret"], ["Bearer tm_key.secret"]]);
});

test("calls to this machine bypass a proxy", async () => {
  const port = server.address.slice(server.address.lastIndexOf(":") + 1);
  process.env["grpc_proxy"] = "http://127.0.0.1:1";
  try {
    const hosts = [
      ...["127.0.0.1", "localhost", "dns:localhost", "dns:///LOCALHOST", "ipv4:127.0.0.1"],
      ...["[::ffff:127.0.0.1]", `ipv4:127.0.0.1:${port},127.0.0.1`],
    ];
    for (const host of hosts) {
      const direct = new TidemillClient(`${host}:${port}`, { timeoutMs: 5_000 });
      assert.equal((await direct.predict("t", "a")).label, "a");
      direct.close();
    }
  } finally {
    delete process.env["grpc_proxy"];
  }
});

test("only addresses of this machine alone are local", () => {
  const local = ["localhost.:1", "127.9.9.9:1", "[::1]:1", "ipv6:[::1]:1,[0:0:0:0:0:0:0:1]:2", "dns://9.9.9.9/localhost:1"];
  const other = ["10.0.0.1:1", "ipv4:127.0.0.1:1,10.0.0.1:1", "[::ffff:10.0.0.1]:1", "[fe80::1%lo]:1"];
  const named = ["localhost.example.com:1", "dns:///example.com/localhost:1", "127.0.0.1.example.com:1", ""];
  assert.deepEqual(local.filter((address) => !isLocal(address)), []);
  assert.deepEqual([...other, ...named].filter(isLocal), []);
});

test("an API key unencrypted to another machine is refused, and so is an empty one", () => {
  assert.throws(() => new TidemillClient("example.com:443", { apiKey: "k" }), /unencrypted/);
  assert.throws(() => new TidemillClient("127.0.0.1:1", { apiKey: "k\n" }), /no key has/);
  new TidemillClient("example.com:443", { apiKey: "k", tls: true }).close();
  new TidemillClient("example.com:443", { apiKey: "k", insecure: true }).close();
});

test("a prediction is retried if the server is unavailable or overloaded", async () => {
  server.refusals.push(status(Code.UNAVAILABLE), status(Code.RESOURCE_EXHAUSTED, 10));
  assert.equal((await client.predict("t", "a")).label, "a");
  assert.equal(server.calls, 3);
});

test("a permanent refusal is not retried, and has its class", async () => {
  server.refusals.push(status(Code.UNAUTHENTICATED));
  await assert.rejects(client.predict("t", "a", { requestId: "r" }), (error) => {
    assert.ok(error instanceof Unauthenticated);
    assert.deepEqual([error.code, error.reason, error.requestId, error.name], [16, "UNAUTHENTICATED", "r", "Unauthenticated"]);
    return true;
  });
  assert.equal(server.calls, 1);
});

test("the time to retry is read", async () => {
  server.refusals.push(...Array.from({ length: 5 }, () => status(Code.RESOURCE_EXHAUSTED, 250)));
  await assert.rejects(client.predict("t", "a"), (error) => {
    assert.ok(error instanceof Overloaded);
    assert.equal(error.retryAfterMs, 250);
    return true;
  });
});

test("results come in order with errors in their place, and progress counts them", async () => {
  server.itemErrors.push(status(Code.INVALID_ARGUMENT));
  const seen: number[] = [];
  const progress = (count: number): void => void seen.push(count);
  const found = await labels(client.predictMany("t", texts(300), { window: 16, progress }));
  assert.deepEqual(found, ["INVALID_ARGUMENT", ...texts(300).slice(1)]);
  assert.deepEqual(seen, texts(300).map((_, n) => n + 1));
});

test("an endless source is never read further ahead than the window, and is closed", async () => {
  let read = 0;
  let given = 0;
  let isClosed = false;
  function* endless(): Generator<string> {
    try {
      while (true) yield `text ${read++}`;
    } finally {
      isClosed = true;
    }
  }
  for await (const _ of client.predictMany("t", endless(), { window: 8 })) {
    assert.ok(read - ++given <= 8);
    if (given === 100) break;
  }
  assert.ok(isClosed);
});

test("broken streams are resumed with the unanswered texts", async () => {
  server.answersAStream.push(20, 30);
  assert.deepEqual(await labels(client.predictMany("t", texts(200), { window: 16 })), texts(200));
  assert.equal(server.calls, 3);
});

test("an overloaded text is sent again in time, five times at most", async () => {
  const busy = status(Code.RESOURCE_EXHAUSTED, 100);
  server.itemErrors.push(busy, busy);
  const start = performance.now();
  assert.deepEqual(await labels(client.predictMany("t", texts(20), { window: 8 })), texts(20));
  assert.ok(performance.now() - start > 90);
  server.itemErrors.push(...Array.from({ length: 5 }, () => status(Code.RESOURCE_EXHAUSTED, 1)));
  assert.deepEqual(await labels(client.predictMany("t", ["a"])), ["RESOURCE_EXHAUSTED"]);
});

test("a silent server fails after the timeout", async () => {
  server.isSilent = true;
  const results = labels(client.predictMany("t", texts(5), { timeoutMs: 300 }));
  await assert.rejects(results, DeadlineExceeded);
});

test("a refused stream rejects immediately, and a missing server within the timeout", async () => {
  server.refusals.push(status(Code.UNAUTHENTICATED));
  await assert.rejects(labels(client.predictMany("t", texts(5))), Unauthenticated);
  const nobody = new TidemillClient("127.0.0.1:1");
  const results = labels(nobody.predictMany("t", texts(5), { timeoutMs: 300 }));
  await assert.rejects(results, Unavailable);
  nobody.close();
});

test("the error of an address that answers HTTP names the port to use", async () => {
  const http = createServer((_, response) => response.writeHead(415).end());
  await new Promise<void>((listening) => http.listen(0, "127.0.0.1", listening));
  const lost = new TidemillClient(`127.0.0.1:${(http.address() as AddressInfo).port}`);
  await assert.rejects(lost.predict("t", "a"), /answers HTTP and not gRPC; use the server's gRPC port/);
  lost.close();
  http.close();
});

test("the client waits for an asynchronous source and for answers, and raises the source's error", async () => {
  let answered = (): void => {};
  const first = new Promise<void>((resolve) => (answered = resolve));
  async function* source(): AsyncGenerator<string> {
    yield "first";
    await first; // no second text before the first answer
    yield "second";
    throw new Error("the file is gone");
  }
  const found: string[] = [];
  await assert.rejects(async () => {
    for await (const result of client.predictMany("t", source(), { timeoutMs: 5000 })) {
      assert.ok(!(result instanceof TidemillError));
      found.push(result.label);
      answered();
    }
  }, /the file is gone/);
  assert.equal(found[0], "first");
});

const BAD_TEXTS: [unknown, string][] = [
  [NaN, "NOT_A_STRING"],
  [null, "NOT_A_STRING"],
  [undefined, "NOT_A_STRING"],
  ["half a \ud83d pair", "NOT_UNICODE"],
  ["x".repeat(25 * 1024 * 1024), "TEXT_TOO_LONG"],
];

test("a text that cannot be sent is an error in its own place", async () => {
  for (const [value, reason] of BAD_TEXTS) {
    const bad = value as string;
    server.calls = 0;
    await assert.rejects(client.predict("t", bad), (error) => {
      assert.ok(error instanceof InvalidRequest);
      assert.deepEqual([error.reason, error.field], [reason, "text"]);
      return true;
    });
    assert.deepEqual(await labels(client.predictMany("t", [bad, bad])), [reason, reason]);
    assert.equal(server.calls, 0);
    const asked = ["\u{1f600}", bad, bad, "b", bad];
    const expected = ["\u{1f600}", reason, reason, "b", reason];
    for (const window of [1, 256]) {
      assert.deepEqual(await labels(client.predictMany("t", asked, { window })), expected);
    }
    const results = await client.predictBatch("t", asked);
    assert.deepEqual(
      results.map((each) => (each instanceof TidemillError ? each.reason : each.label)),
      expected,
    );
  }
});

test("a message over the limit is no overload, and is not sent", async () => {
  const large = "x".repeat(21 * 1024 * 1024);
  await assert.rejects(client.predictBatch("t", Array(210).fill("x".repeat(1e5))), MessageTooLarge);
  await assert.rejects(client.predict("t", "a", { attributes: { a: large } }), MessageTooLarge);
  await assert.rejects(
    client.submitFeedback("p", { correct: true }, { comment: large }),
    MessageTooLarge,
  );
  assert.equal(server.calls, 0);
});

test("a text that the server refuses for its size has an error in its place", async () => {
  const strict = new ScriptedServer(10_000);
  await strict.start();
  const caller = new TidemillClient(strict.address);
  try {
    await assert.rejects(caller.predict("t", "x".repeat(20_000)), MessageTooLarge);
    const asked = ["a", "x".repeat(20_000), "b", "x".repeat(30_000), "c"];
    const expected = ["a", "MESSAGE_TOO_LARGE", "b", "MESSAGE_TOO_LARGE", "c"];
    assert.deepEqual(await labels(caller.predictMany("t", asked)), expected);
  } finally {
    caller.close();
    strict.stop();
  }
});

test("a very long timeout waits, and a wrong one is refused", async () => {
  for (const timeoutMs of [Infinity, 1e10, 1e18]) {
    assert.equal((await client.predict("t", "a", { timeoutMs })).label, "a");
    assert.deepEqual(await labels(client.predictMany("t", ["a"], { timeoutMs })), ["a"]);
    const patient = new TidemillClient(server.address, { timeoutMs, keepaliveMs: timeoutMs });
    assert.equal((await patient.predict("t", "a")).label, "a");
    patient.close();
  }
  for (const timeoutMs of [NaN, -1, -Infinity]) {
    await assert.rejects(client.predict("t", "a", { timeoutMs }), /timeoutMs is/);
    assert.throws(() => client.predictMany("t", ["a"], { timeoutMs }), /timeoutMs is/);
    assert.throws(() => new TidemillClient(server.address, { timeoutMs }), /timeoutMs is/);
    const keepaliveMs = timeoutMs;
    assert.throws(() => new TidemillClient(server.address, { keepaliveMs }), /keepaliveMs is/);
  }
});

test("the error names any other field that cannot be sent", async () => {
  const bad = "half a \ud83d pair";
  const calls: [string, () => Promise<unknown>][] = [
    ["task", () => client.predict(bad, "a")],
    ["requestId", () => client.predictBatch("t", ["a"], { requestId: bad })],
    ["attributes", () => client.predict("t", "a", { attributes: { channel: bad } })],
    ["verdict", () => client.submitFeedback("p", { label: bad })],
    ["comment", () => client.submitFeedback("p", { correct: true }, { comment: bad })],
  ];
  for (const [field, call] of calls) {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof InvalidRequest);
      assert.deepEqual([error.field, error.reason], [field, "UNUSABLE_VALUE"]);
      return true;
    });
  }
  assert.equal(server.calls, 0);
});
