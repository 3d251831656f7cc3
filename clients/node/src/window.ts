/** The bookkeeping of `predictMany`: what is asked, answered, and to be asked again. */
import { backoffMs, isRetried, MAX_ATTEMPTS } from "./connection.js";
import { errorOfStatus, TidemillError } from "./errors.js";
import type {
  Prediction,
  StreamPredictRequest,
  StreamPredictResponse,
} from "./gen/tidemill/v1/prediction_service.js";

export type Result = Prediction | TidemillError;

interface Item {
  readonly request: StreamPredictRequest;
  attempts: number;
  result?: Result;
  retryAt?: number | undefined;
}

/** An item's prediction, or the error in its place. */
export function resultOf(
  answer: Pick<StreamPredictResponse, "result">,
  requestId: string,
): Result {
  if (answer.result?.$case === "prediction") return answer.result.value;
  const empty = { code: 2, message: "the answer is empty", details: [] };
  return errorOfStatus(answer.result?.value ?? empty, requestId);
}

/** The texts that were read and not given back yet, in their order; never more than `size`. */
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

  /** Whether every text that was read has been given back. */
  get isEmpty(): boolean {
    return this.items.length === 0;
  }

  /** Take a text in; returns what is to be sent. */
  add(text: string): StreamPredictRequest {
    const id = String(this.count++);
    const item: Item = { request: this.request(id, text), attempts: 1 };
    this.items.push(item);
    this.byId.set(id, item);
    return item.request;
  }

  /** Note an answer. An error that may pass is asked about again later. */
  take(response: StreamPredictResponse, now: number): void {
    const item = this.byId.get(response.id);
    if (item === undefined || item.result !== undefined) return; // answered already
    const result = resultOf(response, response.id);
    if (result instanceof TidemillError && isRetried(result.code) && item.attempts < MAX_ATTEMPTS) {
      item.retryAt = now + (result.retryAfterMs ?? backoffMs(item.attempts));
      item.attempts++;
      this.putOff.add(item);
    } else {
      item.result = result;
    }
  }

  /** Give back the results that are next in order, as far as they are there. */
  *answered(): Generator<Result> {
    for (let item = this.items[0]; item?.result !== undefined; item = this.items[0]) {
      this.items.shift();
      this.byId.delete(item.request.id);
      yield item.result;
    }
  }

  /** What is to be sent again by now. */
  *due(now: number): Generator<StreamPredictRequest> {
    for (const item of this.putOff) {
      if (item.retryAt !== undefined && item.retryAt <= now) {
        this.putOff.delete(item);
        item.retryAt = undefined;
        yield item.request;
      }
    }
  }

  /** When something is to be sent again; Infinity where nothing is. */
  get nextRetry(): number {
    return Math.min(...[...this.putOff].map((item) => item.retryAt ?? Infinity));
  }

  /** What a new stream must ask, the old one being lost. */
  *unanswered(): Generator<StreamPredictRequest> {
    for (const item of this.items) {
      if (item.result === undefined && item.retryAt === undefined) yield item.request;
    }
  }
}
