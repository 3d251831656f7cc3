/** The checks of requests, and the errors of values that cannot be sent. */
import { status as Code } from "@grpc/grpc-js";

import { MAX_MESSAGE_BYTES } from "./connection.js";
import { InvalidRequest, MessageTooLarge } from "./errors.js";

/** The highest limit that a task can set (`max_text_length`). */
const MAX_TEXT_CHARACTERS = 100_000;

const SURROGATE = /\p{Surrogate}/u;

/** The encoder of a generated message. */
interface Encoder<Request> {
  encode(request: Request): { finish(): Uint8Array };
}

/** Return why a text cannot be sent; undefined if it can. */
export function textError(
  text: unknown,
  field: string,
  requestId = "",
): InvalidRequest | undefined {
  if (typeof text !== "string") {
    const rule = `is ${String(text).slice(0, 40)} (${typeof text}); it must be a string`;
    return refusal("NOT_A_STRING", field, rule, requestId);
  }
  if (text.length > MAX_TEXT_CHARACTERS && [...text].length > MAX_TEXT_CHARACTERS) {
    const rule = `is too long; no task accepts more than ${MAX_TEXT_CHARACTERS} characters`;
    return refusal("TEXT_TOO_LONG", field, rule, requestId);
  }
  const surrogate = SURROGATE.exec(text);
  if (surrogate !== null) {
    const code = surrogate[0].charCodeAt(0).toString(16).toUpperCase();
    return refusal("NOT_UNICODE", field, `has the lone surrogate U+${code}`, requestId);
  }
  return undefined;
}

/** Return the request if it can be sent.
 *
 * @throws InvalidRequest a field has a lone surrogate, which the encoding would replace.
 * @throws MessageTooLarge it is over the limit on messages.
 */
export function checked<Request extends object>(
  kind: Encoder<Request>,
  request: Request,
  requestId = "",
): Request {
  for (const [field, value] of Object.entries(request)) {
    if (hasSurrogate(value)) {
      throw refusal("UNUSABLE_VALUE", field, "has a lone surrogate", requestId);
    }
  }
  const size = kind.encode(request).finish().length;
  if (size > MAX_MESSAGE_BYTES) {
    const message = `the request is a message larger than max (${size} vs. ${MAX_MESSAGE_BYTES})`;
    throw new MessageTooLarge(`${message}: send less at a time`, requestId);
  }
  return request;
}

function hasSurrogate(value: unknown): boolean {
  if (typeof value === "string") return SURROGATE.test(value);
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some((entry) => entry.some(hasSurrogate));
}

function refusal(reason: string, field: string, rule: string, requestId: string): InvalidRequest {
  const fieldViolations = [{ field, description: rule }];
  const message = `${field}: ${rule}`;
  return new InvalidRequest(Code.INVALID_ARGUMENT, reason, message, { fieldViolations, requestId });
}
