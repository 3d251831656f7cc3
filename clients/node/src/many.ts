/** `predictMany`: any number of texts over a stream, with a bounded window. */
import { status as Code, type ClientDuplexStream, type ServiceError } from "@grpc/grpc-js";

import { backoffMs, isRetried } from "./connection.js";
import { DeadlineExceeded, errorOfCall, TidemillError, Unavailable } from "./errors.js";
import type {
  StreamPredictRequest,
  StreamPredictResponse,
} from "./gen/tidemill/v1/prediction_service.js";
import type { Result, Window } from "./window.js";

type Call = ClientDuplexStream<StreamPredictRequest, StreamPredictResponse>;

/** Predict every text; see `TidemillClient.predictMany`. */
export async function* askAll(
  openStream: () => Call,
  texts: Iterable<string> | AsyncIterable<string>,
  window: Window,
  timeoutMs: number,
  progress: (count: number) => void,
): AsyncGenerator<Result, void, undefined> {
  const bell = new Bell();
  const source = new Source(texts, bell);
  const session = new Session(openStream, window, timeoutMs, bell);
  let count = 0;
  try {
    while (true) {
      for (const result of window.answered()) {
        progress(++count);
        yield result;
      }
      const taken = window.hasRoom && !session.hasAnswer ? source.take() : undefined;
      if (taken !== undefined) session.send(window.add(taken.text));
      else if (window.isEmpty && source.isExhausted) return;
      else await session.wait();
    }
  } finally {
    session.close();
    source.close();
  }
}

/** A signal that an answer or a text has arrived. */
class Bell {
  private wake: () => void = () => {};

  ring(): void {
    this.wake();
  }

  /** Wait until it rings, or until the time is over. */
  async wait(milliseconds: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      if (Number.isFinite(milliseconds)) timer = setTimeout(resolve, Math.max(0, milliseconds));
    });
    clearTimeout(timer);
    this.wake = () => {};
  }
}

/** A source of texts, read one at a time. */
class Source {
  isExhausted = false;
  private readonly iterator: Iterator<string> | AsyncIterator<string>;
  private isWaiting = false;
  private arrived: { result?: IteratorResult<string>; error?: unknown } | undefined;

  constructor(
    texts: Iterable<string> | AsyncIterable<string>,
    private readonly bell: Bell,
  ) {
    this.iterator =
      Symbol.asyncIterator in texts ? texts[Symbol.asyncIterator]() : texts[Symbol.iterator]();
  }

  /** Return the next text; undefined at the end, or if there is none yet: the bell rings later. */
  take(): { readonly text: string } | undefined {
    if (this.isExhausted || this.isWaiting) return undefined;
    if (this.arrived === undefined) {
      const next = this.iterator.next();
      if (!(next instanceof Promise)) return this.read(next as IteratorResult<string>);
      this.isWaiting = true;
      next.then(
        (result) => this.arrive({ result }),
        (error: unknown) => this.arrive({ error }),
      );
      return undefined;
    }
    const { result, error } = this.arrived;
    this.arrived = undefined;
    if (result === undefined) throw error;
    return this.read(result);
  }

  /** Let the source clean up, without waiting for it. */
  close(): void {
    if (this.isExhausted) return;
    void Promise.resolve(this.iterator.return?.()).catch(() => {});
  }

  private arrive(what: { result?: IteratorResult<string>; error?: unknown }): void {
    this.isWaiting = false;
    this.arrived = what;
    this.bell.ring();
  }

  private read(result: IteratorResult<string>): { readonly text: string } | undefined {
    if (!result.done) return { text: result.value };
    this.isExhausted = true;
    return undefined;
  }
}

/** The streams, one after another, that answer a window. */
class Session {
  private stream: Stream | undefined;
  private losses = 0;
  private patience: number;

  constructor(
    private readonly openStream: () => Call,
    private readonly window: Window,
    private readonly timeoutMs: number,
    private readonly bell: Bell,
  ) {
    this.patience = timeoutMs;
  }

  /** Whether `wait` would return immediately. */
  get hasAnswer(): boolean {
    return this.stream !== undefined && this.stream.answers.length > 0;
  }

  /** Send a request of the window; undefined stands for a text that cannot be sent. */
  send(request: StreamPredictRequest | undefined): void {
    if (request === undefined) return;
    if (this.stream === undefined) this.opened();
    else this.stream.call.write(request);
  }

  /** Wait for an answer and give it to the window, or wait until the bell rings. */
  async wait(): Promise<void> {
    if (this.window.isEmpty) return this.bell.wait(Infinity);
    const stream = this.opened();
    for (const request of this.window.due(performance.now())) stream.call.write(request);
    if (stream.answers.length === 0) await this.untilBell();
    const answer = stream.answers.shift();
    if (answer instanceof TidemillError) {
      if (this.window.refuse(answer)) this.close();
      else await this.lost(answer);
    } else if (answer !== undefined) {
      this.losses = 0;
      this.patience = this.timeoutMs;
      this.window.take(answer, performance.now());
    }
  }

  close(): void {
    this.stream?.call.cancel();
    this.stream = undefined;
  }

  private async untilBell(): Promise<void> {
    const start = performance.now();
    await this.bell.wait(Math.min(this.patience, this.window.nextRetry - start));
    this.patience -= performance.now() - start;
    if (this.patience <= 0 && !this.hasAnswer) {
      const message = `no answer within ${this.timeoutMs} ms`;
      throw new DeadlineExceeded(Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", message);
    }
  }

  private opened(): Stream {
    if (this.stream === undefined) {
      this.stream = new Stream(this.openStream(), this.bell);
      for (const request of this.window.unanswered()) this.stream.call.write(request);
    }
    return this.stream;
  }

  /** Pause before the next stream, or throw the error that ended this one. */
  private async lost(error: TidemillError): Promise<void> {
    this.close();
    const pause = error.retryAfterMs ?? backoffMs(++this.losses);
    this.patience -= pause;
    // A server that stops cancels open calls.
    const isPassing = isRetried(error.code) || error.code === Code.CANCELLED;
    if (!isPassing || this.patience <= 0) throw error;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** One call and its answers. */
class Stream {
  readonly answers: (StreamPredictResponse | TidemillError)[] = [];

  constructor(
    readonly call: Call,
    bell: Bell,
  ) {
    let isOver = false;
    const note = (answer: StreamPredictResponse | TidemillError): void => {
      if (isOver) return;
      isOver = answer instanceof TidemillError;
      this.answers.push(answer);
      bell.ring();
    };
    call.on("data", note);
    call.on("error", (error: ServiceError) => note(errorOfCall(error)));
    call.on("end", () =>
      note(new Unavailable(Code.UNAVAILABLE, "STREAM_ENDED", "the server ended the stream")),
    );
  }
}
