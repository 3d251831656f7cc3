/** The client over real connections, against a server that misbehaves when it is told to. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { status as Code } from "@grpc/grpc-js";

import {
  DeadlineExceeded,
  Overloaded,
  TidemillClient,
  TidemillError,
  Unauthenticated,
  Unavailable,
  type Result,
} from "../src/index.js";
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

test("the API key goes with unary calls and streams", async () => {
  await client.predict("t", "a");
  await labels(client.predictMany("t", ["a"]));
  const sent = server.metadata.map((one) => one.get("authorization"));
  assert.deepEqual(sent, [["Bearer tm_key.secret"], ["Bearer tm_key.secret"]]);
});

test("a server on this machine is called past any proxy", async () => {
  const port = server.address.slice(server.address.lastIndexOf(":") + 1);
  process.env["grpc_proxy"] = "http://127.0.0.1:1";
  try {
    for (const host of ["127.0.0.1", "localhost"]) {
      const direct = new TidemillClient(`${host}:${port}`, { timeoutMs: 5_000 });
      assert.equal((await direct.predict("t", "a")).label, "a");
      direct.close();
    }
  } finally {
    delete process.env["grpc_proxy"];
  }
});

test("an API key in clear to another machine is refused, and so is none", () => {
  assert.throws(() => new TidemillClient("example.com:443", { apiKey: "k" }), /in clear/);
  assert.throws(() => new TidemillClient("127.0.0.1:1", { apiKey: "k\n" }), /no key has/);
  new TidemillClient("example.com:443", { apiKey: "k", tls: true }).close();
  new TidemillClient("example.com:443", { apiKey: "k", insecure: true }).close();
});

test("a prediction that meets a server that is away or overloaded is sent again", async () => {
  server.refusals.push(status(Code.UNAVAILABLE), status(Code.RESOURCE_EXHAUSTED, 10));
  assert.equal((await client.predict("t", "a")).label, "a");
  assert.equal(server.calls, 3);
});

test("a refusal that repeating cannot help is sent once, and has its class", async () => {
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

test("streams that break are resumed with what was not answered", async () => {
  server.answersAStream.push(20, 30);
  assert.deepEqual(await labels(client.predictMany("t", texts(200), { window: 16 })), texts(200));
  assert.equal(server.calls, 3);
});

test("a text that meets an overload is asked again in time, five times at most", async () => {
  const busy = status(Code.RESOURCE_EXHAUSTED, 100);
  server.itemErrors.push(busy, busy);
  const start = performance.now();
  assert.deepEqual(await labels(client.predictMany("t", texts(20), { window: 8 })), texts(20));
  assert.ok(performance.now() - start > 90);
  server.itemErrors.push(...Array.from({ length: 5 }, () => status(Code.RESOURCE_EXHAUSTED, 1)));
  assert.deepEqual(await labels(client.predictMany("t", ["a"])), ["RESOURCE_EXHAUSTED"]);
});

test("a silent server is given up after the timeout", async () => {
  server.isSilent = true;
  const results = labels(client.predictMany("t", texts(5), { timeoutMs: 300 }));
  await assert.rejects(results, DeadlineExceeded);
});

test("a refused stream rejects at once, and nobody there within the timeout", async () => {
  server.refusals.push(status(Code.UNAUTHENTICATED));
  await assert.rejects(labels(client.predictMany("t", texts(5))), Unauthenticated);
  const nobody = new TidemillClient("127.0.0.1:1");
  const results = labels(nobody.predictMany("t", texts(5), { timeoutMs: 300 }));
  await assert.rejects(results, Unavailable);
  nobody.close();
});

test("an asynchronous source is waited for beside the answers, and its error comes out", async () => {
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
