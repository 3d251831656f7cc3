/**
 * What a call that failed rejects with, and what stands in the place of an item that was not
 * answered.
 *
 * TidemillError                  any code that is not below: CANCELLED, UNKNOWN, …
 * ├── InvalidRequest             `field` breaks `rule`; repeating it cannot help
 * │   └── MessageTooLarge        a request or a response is over the limit on messages
 * ├── Unauthenticated            no API key or token, or one that is not good
 * ├── PermissionDenied           the key may not do this
 * ├── NotFound                   there is no such task, prediction, version, …
 * ├── FailedPrecondition         the system's state does not allow it (NO_CHAMPION, say)
 * ├── Overloaded                 too much at once; `retryAfterMs` says when to come back
 * ├── DeadlineExceeded           the timeout passed
 * ├── Unavailable                the server, or what it needs, is away; retried in vain
 * └── Internal                   the server's fault; its log says more
 */
import { status as Code, type ServiceError } from "@grpc/grpc-js";

import { BadRequest, ErrorInfo, RetryInfo } from "./gen/google/rpc/error_details.js";
import { Status } from "./gen/google/rpc/status.js";

/** One field of a request that breaks a rule. */
export interface FieldViolation {
  /** Path of the field, as in the proto: `text`, `texts[3]`. */
  readonly field: string;
  /** The rule, and how the value broke it. */
  readonly description: string;
}

/** What an error was made from. */
export interface ErrorDetails {
  readonly fieldViolations?: readonly FieldViolation[];
  readonly retryAfterMs?: number | undefined;
  readonly requestId?: string;
}

/** A request, or one item of a batch or stream, was not answered. */
export class TidemillError extends Error {
  /** The fields that break a rule; empty for other errors. */
  readonly fieldViolations: readonly FieldViolation[];
  /** When to try again, in milliseconds; undefined where the server did not say. */
  readonly retryAfterMs: number | undefined;
  /** The id that the request was sent with; empty where it had none. */
  readonly requestId: string;

  /**
   * @param code the canonical gRPC code.
   * @param reason what happened, in one UPPER_SNAKE word that programs can compare; the code's
   *   name where the error did not come from Tidemill itself.
   * @param message what happened, for people.
   */
  constructor(
    readonly code: Code,
    readonly reason: string,
    message: string,
    details: ErrorDetails = {},
  ) {
    super(message);
    this.name = new.target.name;
    this.fieldViolations = details.fieldViolations ?? [];
    this.retryAfterMs = details.retryAfterMs;
    this.requestId = details.requestId ?? "";
  }
}

/** A field of the request breaks a rule. */
export class InvalidRequest extends TidemillError {
  /** The first field that breaks a rule; empty where the server named none. */
  get field(): string {
    return this.fieldViolations[0]?.field ?? "";
  }

  /** The rule, and how the value broke it. */
  get rule(): string {
    return this.fieldViolations[0]?.description ?? this.message;
  }
}

/** A request or a response is over the limit on messages: send less, or ask for less. */
export class MessageTooLarge extends InvalidRequest {
  constructor(message: string, requestId = "") {
    super(Code.INVALID_ARGUMENT, "MESSAGE_TOO_LARGE", message, { requestId });
  }

  /** The limit in bytes; undefined where the message does not say it. */
  get limitBytes(): number | undefined {
    const found = TOO_LARGE.exec(this.message);
    return found === null ? undefined : Number(found[1]);
  }
}

/** The call shows no credential, or one that is not (or no longer) good. */
export class Unauthenticated extends TidemillError {}

/** The caller is known, and may not do this. */
export class PermissionDenied extends TidemillError {}

/** What was asked for by name does not exist. */
export class NotFound extends TidemillError {}

/** The system's present state does not allow the request. */
export class FailedPrecondition extends TidemillError {}

/** There is no room for more just now, or the key's rate is used up. */
export class Overloaded extends TidemillError {}

/** There was no answer within the timeout. */
export class DeadlineExceeded extends TidemillError {}

/** The server, or a system that it needs, cannot be reached. */
export class Unavailable extends TidemillError {}

/** The server failed in a way that it should not. */
export class Internal extends TidemillError {}

const KINDS: Partial<Record<Code, typeof TidemillError>> = {
  [Code.INVALID_ARGUMENT]: InvalidRequest,
  [Code.UNAUTHENTICATED]: Unauthenticated,
  [Code.PERMISSION_DENIED]: PermissionDenied,
  [Code.NOT_FOUND]: NotFound,
  [Code.FAILED_PRECONDITION]: FailedPrecondition,
  [Code.RESOURCE_EXHAUSTED]: Overloaded,
  [Code.DEADLINE_EXCEEDED]: DeadlineExceeded,
  [Code.UNAVAILABLE]: Unavailable,
  [Code.INTERNAL]: Internal,
};

// gRPC's own words, of its several libraries. It gives overloads the same code.
const TOO_LARGE = /message .*larger than (?:max \(\d+ vs\.? )?(\d+)/;

const DETAILS_KEY = "grpc-status-details-bin";

/** From the status of one item, or of a call. */
export function errorOfStatus(status: Status, requestId = ""): TidemillError {
  const code: Code = status.code in Code ? status.code : Code.UNKNOWN;
  let reason: string = Code[code];
  let fieldViolations: readonly FieldViolation[] = [];
  let retryAfterMs: number | undefined;
  for (const { typeUrl, value } of status.details) {
    switch (typeUrl.slice(typeUrl.lastIndexOf("/") + 1)) {
      case "google.rpc.ErrorInfo":
        reason = ErrorInfo.decode(value).reason;
        break;
      case "google.rpc.BadRequest":
        fieldViolations = BadRequest.decode(value).fieldViolations;
        break;
      case "google.rpc.RetryInfo": {
        const delay = RetryInfo.decode(value).retryDelay;
        retryAfterMs = delay && delay.seconds * 1000 + delay.nanos / 1e6;
        break;
      }
    }
  }
  const kind = KINDS[code] ?? TidemillError;
  return new kind(code, reason, status.message, { fieldViolations, retryAfterMs, requestId });
}

/** From what a stub's call failed with. */
export function errorOfCall(error: ServiceError, requestId = ""): TidemillError {
  const [packed] = error.metadata?.get(DETAILS_KEY) ?? [];
  if (packed instanceof Buffer) {
    try {
      const status = Status.decode(packed);
      if (status.code === error.code) return errorOfStatus(status, requestId);
    } catch {
      // Details that were cut off on the way: the code and the message are still good.
    }
  }
  const message = error.details || Code[error.code];
  if (error.code === Code.RESOURCE_EXHAUSTED && TOO_LARGE.test(message)) {
    return new MessageTooLarge(message, requestId);
  }
  return errorOfStatus({ code: error.code, message, details: [] }, requestId);
}
