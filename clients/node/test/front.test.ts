/** The client against a real front, whose address is in TIDEMILL_TEST_ADDRESS. */
import assert from "node:assert/strict";
import { after, test } from "node:test";

import { PredictRequest, type PredictResponse } from "tidemill-client/v1/prediction_service";

import { InvalidRequest, TidemillClient, TidemillError } from "../src/index.js";

const address = process.env["TIDEMILL_TEST_ADDRESS"];
const skip = address === undefined && "TIDEMILL_TEST_ADDRESS is not set";
const client = new TidemillClient(address);
after(() => client.close());

test("a text gets a label, and its prediction a verdict", { skip }, async () => {
  const prediction = await client.predict("support", "my card is lost", { topK: 2 });
  assert.equal(prediction.label, prediction.scores[0]?.label);
  assert.equal(prediction.scores.length, 2);
  assert.equal(prediction.modelVersion, 1);
  const feedback = await client.submitFeedback(
    prediction.predictionId,
    { label: "card" },
    { source: "node" },
  );
  assert.deepEqual(feedback.verdict, { $case: "label", value: "card" });
  assert.equal(feedback.task, "support");
});

test("the answer to rate is sent, and refused where no answers are rated", { skip }, async () => {
  for (const [response, reason] of [["yes", "RESPONSE_NOT_EXPECTED"], ["\ud800", "NOT_UNICODE"]]) {
    await assert.rejects(client.predict("support", "lost?", { response: response! }), (error) => {
      assert.ok(error instanceof InvalidRequest);
      assert.deepEqual([error.reason, error.field], [reason, "response"]);
      return true;
    });
  }
});

test("a stub takes the generated messages, and returns the whole response", { skip }, async () => {
  const request = PredictRequest.fromPartial({ task: "support", text: "my card is lost" });
  const response = await new Promise<PredictResponse>((resolve, reject) => {
    client.predictions.predict(request, (error, found) => (error ? reject(error) : resolve(found)));
  });
  assert.equal(response.prediction?.modelVersion, 1);
});

test("the error names the broken rule", { skip }, async () => {
  await assert.rejects(client.predict("support", " "), (error) => {
    assert.ok(error instanceof InvalidRequest);
    assert.deepEqual([error.reason, error.field], ["BLANK_TEXT", "text"]);
    assert.ok(error.rule);
    return true;
  });
});

test("a batch has an error in the place of a bad text", { skip }, async () => {
  const [first, second] = await client.predictBatch("support", ["lost card", ""]);
  assert.ok(first && !(first instanceof TidemillError));
  assert.ok(second instanceof InvalidRequest);
});

test("a stream answers as unary calls do, in order", { skip }, async () => {
  const words = ["refund", "card", "lost", "password", "money"];
  const texts = Array.from({ length: 1000 }, (_, n) => `my ${words[n % words.length]}`);
  const alone = new Map<string, string>();
  for (const text of texts.slice(0, words.length)) {
    alone.set(text, (await client.predict("support", text)).label);
  }
  let count = 0;
  for await (const result of client.predictMany("support", texts)) {
    assert.ok(!(result instanceof TidemillError));
    assert.equal(result.label, alone.get(texts[count++]!));
  }
  assert.equal(count, texts.length);
});
