/** The state of `predictMany`: the texts that are open, answered, or to be sent again. */
import { backoffMs, isRetried, MAX_ATTEMPTS } from "./connection.js";
import { errorOfStatus, InvalidRequest, MessageTooLarge, TidemillError } from "./errors.js";
import {
  StreamPredictRequest,
  type Prediction,
  type StreamPredictResponse,
} from "./gen/tidemill/v1/prediction_service.js";

export type Result = Prediction | TidemillError;

interface Item {
  readonly id: string;
  request?: StreamPredictRequest;
  attempts: number;
  result?: Result;
  retryAt?: number | undefined;
}

/** Return an item's prediction, or the error in its place. */
export function resultOf(
  answer: Pick<StreamPredictResponse, "result">,
  requestId: string,
): Result {
  if (answer.result?.$case === "prediction") return answer.result.value;
  const empty = { code: 2, message: "the answer is empty", details: [] };
  return errorOfStatus(answer.result?.value ?? empty, requestId);
}

/** The texts that were read and whose results were not returned yet, in order; at most `size`. */
export class Window {
  private readonly items: Item[] = [];
  private readonly byId = new Map<string, Item>();
  private readonly putOff = new Set<Item>();
  private count = 0;

  constructor(
    private readonly request: (id: string, text: string) => StreamPredictRequest,
    private readonly size: number,
  ) {
    if (!(size >= 1)) throw new RangeError(`window is ${size}; it must be at least 1`);
  }

  /** Whether another text may be read. */
  get hasRoom(): boolean {
    return this.items.length < this.size;
  }

  /** Whether the result of every text was returned. */
  get isEmpty(): boolean {
    return this.items.length === 0;
  }

  /** Add a text and return its request; undefined if it cannot be sent: its result is the error. */
  add(text: string): StreamPredictRequest | undefined {
    const item: Item = { id: String(this.count++), attempts: 1 };
    this.items.push(item);
    this.byId.set(item.id, item);
    try {
      item.request = this.request(item.id, text);
    } catch (error) {
      if (!(error instanceof InvalidRequest)) throw error;
      item.result = error;
    }
    return item.request;
  }

  /** Give a size error to the requests that are too large; return false if there are none. */
  refuse(error: TidemillError): boolean {
    const limit = error instanceof MessageTooLarge ? error.limitBytes : undefined;
    if (limit === undefined) return false;
    const large = this.items.filter(
      ({ request, result }) =>
        request !== undefined &&
        result === undefined &&
        StreamPredictRequest.encode(request).finish().length > limit,
    );
    for (const item of large) item.result = error;
    return large.length > 0;
  }

  /** Store an answer. After a temporary error the text is sent again later. */
  take(response: StreamPredictResponse, now: number): void {
    const item = this.byId.get(response.id);
    if (item === undefined || item.result !== undefined) return; // already answered
    const result = resultOf(response, response.id);
    if (result instanceof TidemillError && isRetried(result.code) && item.attempts < MAX_ATTEMPTS) {
      item.retryAt = now + (result.retryAfterMs ?? backoffMs(item.attempts));
      item.attempts++;
      this.putOff.add(item);
    } else {
      item.result = result;
    }
  }

  /** Yield the available results that are next in order. */
  *answered(): Generator<Result> {
    for (let item = this.items[0]; item?.result !== undefined; item = this.items[0]) {
      this.items.shift();
      this.byId.delete(item.id);
      yield item.result;
    }
  }

  /** Yield the requests whose retry is due. */
  *due(now: number): Generator<StreamPredictRequest> {
    for (const item of this.putOff) {
      if (item.retryAt !== undefined && item.retryAt <= now) {
        this.putOff.delete(item);
        item.retryAt = undefined;
        if (item.request !== undefined) yield item.request;
      }
    }
  }

  /** The time of the next retry; Infinity if there is none. */
  get nextRetry(): number {
    return Math.min(...[...this.putOff].map((item) => item.retryAt ?? Infinity));
  }

  /** Yield the requests that a new stream must send after the old one was lost. */
  *unanswered(): Generator<StreamPredictRequest> {
    for (const item of this.items) {
      const { request, result, retryAt } = item;
      if (request !== undefined && result === undefined && retryAt === undefined) yield request;
    }
  }
}
